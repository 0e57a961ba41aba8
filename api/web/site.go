package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/nixspace/nixspace"
)

// sitePolicy lets the web interface use what this server serves, and nothing
// else.
const sitePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// siteFile is one file of the web interface, as read when the server began.
type siteFile struct {
	body, gzip, brotli []byte // the latter two are nil where there is none
	contentType, etag  string
	immutable          bool // its name holds the digest of its content
}

// site serves the web interface. Pages have addresses of their own, and all of
// them are index.html: what is in the address, the program in the page reads.
type site map[string]siteFile

// newSite reads a whole site. A file NAME.gz or NAME.br is the file NAME,
// compressed. The page names its files relative to itself; as it is served at
// every address, they are made ones below the prefix.
func newSite(files fs.FS, prefix string) (site, error) {
	s := site{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".gz") || strings.HasSuffix(name, ".br") {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if name == "index.html" {
			body = bytes.ReplaceAll(body, []byte(`="./`), []byte(`="`+prefix+`/`))
		}
		sum := sha256.Sum256(body)
		f := siteFile{
			body: body, contentType: contentType(name), immutable: strings.HasPrefix(name, "assets/"),
			etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		}
		for ext, to := range map[string]*[]byte{".gz": &f.gzip, ".br": &f.brotli} {
			if name == "index.html" {
				break // it is no longer what was compressed, and is small
			}
			if *to, err = fs.ReadFile(files, name+ext); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		s["/"+name] = f
		return nil
	})
	return s, err
}

// contentType does not depend on what this machine knows of types.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".woff2":
		return "font/woff2"
	case ".webmanifest":
		return "application/manifest+json"
	default:
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
		return "application/octet-stream"
	}
}

// serve answers with a file, or with the page for an address that a person
// opens; it returns false when the request is for neither.
func (s site) serve(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	f, ok := s[r.URL.Path]
	if !ok || r.URL.Path == "/index.html" {
		if strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path != "/" && !strings.Contains(r.Header.Get("Accept"), "text/html") {
			return false
		}
		f = s["/index.html"]
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache") // use it after asking whether it changed
	if f.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if strings.HasPrefix(f.contentType, "text/html") {
		h.Set("Content-Security-Policy", sitePolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	body := f.body
	switch accepted := r.Header.Get("Accept-Encoding"); {
	case f.brotli != nil && accepts(accepted, "br"):
		body = f.brotli
		h.Set("Content-Encoding", "br")
	case f.gzip != nil && accepts(accepted, "gzip"):
		body = f.gzip
		h.Set("Content-Encoding", "gzip")
	}
	if r.Method == http.MethodGet {
		_, _ = w.Write(body)
	}
	return true
}

// accepts reports whether an Accept-Encoding header names an encoding, and does
// not refuse it by the quality 0.
func accepts(header, encoding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) == encoding {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && q != "q=0.0"
		}
	}
	return false
}

// page answers whatever has no route of its own.
func (h *Handler) page(w http.ResponseWriter, r *http.Request) {
	if h.site != nil && h.site.serve(w, r) {
		return
	}
	h.fail(w, r, nixspace.Errorf(nixspace.KindNotFound, "route_unknown", "there is nothing at %s %s", r.Method, r.URL.Path).
		WithHint("docs/api.md lists what the server answers to"))
}
