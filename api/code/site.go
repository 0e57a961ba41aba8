package code

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// policy lets the workbench use what its own host serves and nothing else: VS Code
// asks for no other host, whatever it, or a file that it shows, would like to. It
// writes styles into the page, and its highlighter is WebAssembly.
const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
	"media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Site is the workbench as it was built.
type Site struct {
	files map[string]file // by their paths, with a slash
}

type file struct {
	gzip      []byte // nil where plain is not
	plain     []byte
	mime      string
	etag      string
	immutable bool
}

// NewSite reads a built workbench. A file NAME.gz is NAME, compressed; there need not
// be NAME itself.
func NewSite(from fs.FS) (*Site, error) {
	s := &Site{files: map[string]file{}}
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		name, packed := strings.CutSuffix(name, ".gz")
		sum := sha256.Sum256(b)
		f := file{mime: contentType(name), immutable: strings.HasPrefix(name, "assets/"), etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
		if packed {
			f.gzip = b
		} else {
			f.plain = b
		}
		s.files["/"+name] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the workbench: %w", err)
	}
	if _, ok := s.files["/index.html"]; !ok {
		return nil, errors.New("the workbench has no index.html")
	}
	return s, nil
}

func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".wasm":
		return "application/wasm"
	case ".ttf":
		return "font/ttf"
	case ".html", ".json", ".svg", ".png", ".gif":
		return mime.TypeByExtension(ext)
	}
	return "application/octet-stream"
}

// ServeHTTP answers with a file of the workbench.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path
	if name == "/" {
		name = "/index.html"
	}
	f, ok := s.files[name]
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "there is nothing here", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.mime)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", policy) // workers have it by their own answers
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache") // use it after asking whether it changed
	if f.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.plain
	switch {
	case f.gzip != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip"):
		h.Set("Content-Encoding", "gzip")
		body = f.gzip
	case f.gzip != nil:
		z, err := gzip.NewReader(bytes.NewReader(f.gzip))
		if err == nil {
			body, err = io.ReadAll(z)
		}
		if err != nil {
			http.Error(w, "the file is broken", http.StatusInternalServerError)
			return
		}
	}
	if r.Method == http.MethodGet {
		_, _ = w.Write(body)
	}
}
