package fetch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"

	"github.com/nixspace/nixspace"
)

type entry struct {
	name, content string
	mode          fs.FileMode
}

func zipped(entries ...entry) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		w, _ := z.CreateHeader(h)
		_, _ = io.WriteString(w, e.content)
	}
	_ = z.Close()
	return b.Bytes()
}

func tarred(entries ...entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "0123"}})
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: int64(e.mode.Perm()), Size: int64(len(e.content)), Typeflag: tar.TypeReg}
		switch {
		case e.mode.IsDir():
			h.Typeflag, h.Size = tar.TypeDir, 0
		case e.mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Size, h.Linkname = tar.TypeSymlink, 0, e.content
		case e.mode&fs.ModeDevice != 0:
			h.Typeflag, h.Size = tar.TypeChar, 0
		}
		_ = w.WriteHeader(h)
		if h.Typeflag == tar.TypeReg {
			_, _ = io.WriteString(w, e.content)
		}
	}
	_ = w.Close()
	return b.Bytes()
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func zstded(b []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(b, nil)
}

func TestUnpack(t *testing.T) {
	entries := []entry{
		{"shop-1/", "", fs.ModeDir | 0o755},
		{"shop-1/a", "a", 0o644},
		{"shop-1/bin/", "", fs.ModeDir | 0o755},
		{"shop-1/bin/x", "#!", 0o755},
		{"shop-1/l", "bin/x", fs.ModeSymlink | 0o777},
	}
	below := map[string]string{"a": "a", "bin/x": "#!", "l": "-> bin/x"}
	flat := []entry{{"a", "a", 0o644}, {"b/c", "c", 0o644}}
	for name, test := range map[string]struct {
		upload []byte
		want   map[string]string
	}{
		"tar":                {tarred(entries...), below},
		"tar.gz":             {gzipped(tarred(entries...)), below},
		"tar.zst":            {zstded(tarred(entries...)), below},
		"zip":                {zipped(entries...), below},
		"a flat tar":         {tarred(flat...), map[string]string{"a": "a", "b/c": "c"}},
		"a flat zip":         {zipped(flat...), map[string]string{"a": "a", "b/c": "c"}},
		"with a dot":         {tarred(entry{"./", "", fs.ModeDir | 0o755}, entry{"./a", "a", 0o644}), map[string]string{"a": "a"}},
		"a dot and a folder": {tarred(entry{"./x/", "", fs.ModeDir | 0o755}, entry{"./x/a", "a", 0o644}), map[string]string{"a": "a"}},
		"a flake":            {[]byte("{\n  outputs = { self }: { };\n}\n"), map[string]string{"flake.nix": "{\n  outputs = { self }: { };\n}\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := fetcher(t, "")
			got, err := f.Unpack(t.Context(), bytes.NewReader(test.upload))
			if err != nil {
				t.Fatal(err)
			}
			same(t, files(t, f, got.Workspace), test.want)
			for n, file := range unpacked(t, f, got.Workspace) {
				if x := file.Mode&0o111 != 0; x != (n == "bin/x") && file.Mode.IsRegular() {
					t.Errorf("%s has mode %v", n, file.Mode)
				}
			}
		})
	}
}

func TestUnpackRefuses(t *testing.T) {
	bomb := strings.Repeat("\x00", 8<<20)
	good := zipped(entry{"a", strings.Repeat("content ", 1000), 0o644})
	lie := zipped(entry{"a", "12345678", 0o644})
	lie = bytes.ReplaceAll(lie, []byte{8, 0, 0, 0, 1, 0}, []byte{3, 0, 0, 0, 1, 0}) // its size, where the directory says it
	many := make([]entry, 40)
	for i := range many {
		many[i] = entry{fmt.Sprintf("f%d", i), "", 0o644}
	}
	for name, test := range map[string]struct {
		upload []byte
		code   string
	}{
		"nothing":                     {nil, "archive_unknown"},
		"a picture":                   {[]byte("\x89PNG\r\n\x1a\n outputs"), "archive_unknown"},
		"a shell script":              {[]byte("#!/bin/sh\necho\n"), "archive_unknown"},
		"a truncated zip":             {good[:len(good)-10], "workspace_invalid"},
		"a truncated tar.gz":          {gzipped(tarred(entry{"a", "a", 0o644}))[:40], "workspace_invalid"},
		"zip slip":                    {zipped(entry{"../../etc/passwd", "x", 0o644}), "workspace_invalid"},
		"zip slip below":              {zipped(entry{"a/../../b", "x", 0o644}, entry{"c", "", 0o644}), "workspace_invalid"},
		"an absolute name in a zip":   {zipped(entry{"/etc/passwd", "x", 0o644}), "workspace_invalid"},
		"backslashes":                 {zipped(entry{`..\..\b`, "x", 0o644}), "workspace_invalid"},
		"a link in a zip that leaves": {zipped(entry{"a", "/etc", fs.ModeSymlink | 0o777}, entry{"b", "", 0o644}), "workspace_invalid"},
		"through a link in a zip":     {zipped(entry{"a", "b", fs.ModeSymlink | 0o777}, entry{"a/c", "x", 0o644}), "workspace_invalid"},
		"a link that is a file":       {zipped(entry{"a", strings.Repeat("x", 5000), fs.ModeSymlink | 0o777}, entry{"b", "", 0o644}), "workspace_invalid"},
		"a device in a zip":           {zipped(entry{"a", "", fs.ModeDevice | 0o644}, entry{"b", "", 0o644}), "workspace_invalid"},
		"a name that leaves":          {tarred(entry{"x/../../b", "x", 0o644}), "workspace_invalid"},
		"out of its folder":           {tarred(entry{"x/a", "x", 0o644}, entry{"x/../../b", "x", 0o644}), "workspace_invalid"},
		"a link that leaves":          {tarred(entry{"x/a", "../b", fs.ModeSymlink | 0o777}, entry{"x/b", "", 0o644}), "workspace_invalid"},
		"a device":                    {tarred(entry{"a", "", fs.ModeDevice | 0o644}, entry{"b", "", 0o644}), "workspace_invalid"},
		"a bomb":                      {gzipped(tarred(entry{"a", bomb, 0o644})), "source_too_large"},
		"a zip bomb":                  {zipped(entry{"a", bomb, 0o644}), "source_too_large"},
		"many small bombs":            {zipped(entry{"a", bomb[:700<<10], 0o644}, entry{"b", bomb[:700<<10], 0o644}), "source_too_large"},
		"a zip that lies":             {lie, "workspace_invalid"},
		"too many files in a zip":     {zipped(many...), "workspace_too_large"},
		"too many files":              {tarred(many...), "workspace_too_large"},
		"too much":                    {[]byte(bomb), "source_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			f := fetcher(t, "", func(c *Config) { c.Limits = nixspace.CodeLimits{Bytes: 1 << 20, Files: 20} })
			if got, err := f.Unpack(t.Context(), bytes.NewReader(test.upload)); nixspace.ErrorCode(err) != test.code {
				t.Errorf("got %+v, %v (%s), want %s", got, err, nixspace.ErrorCode(err), test.code)
			}
		})
	}
}

// TestZipDirectory opens a zip whose directory alone would fill the memory.
func TestZipDirectory(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range 400_000 {
		_, _ = z.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%060d", i)})
	}
	_ = z.Close()
	f := fetcher(t, "")
	if _, err := f.Unpack(t.Context(), &b); nixspace.ErrorKind(err) != nixspace.KindLimit {
		t.Errorf("got %v", err)
	}
}

func TestDownload(t *testing.T) {
	code := gzipped(tarred(entry{"shop-main/a", "a", 0o644}))
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/private.tar.gz" && r.Header.Get("Authorization") != "Bearer "+secret:
			http.Error(w, "no", http.StatusUnauthorized)
		case r.URL.Path == "/plain.zip":
			http.Redirect(w, r, "http://"+r.Host+"/a.tar.gz", http.StatusFound)
		case r.URL.Path == "/loop.zip":
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		case r.URL.Path == "/broken.tar.gz":
			w.Header().Set("Content-Length", fmt.Sprint(len(code)+100))
			_, _ = w.Write(code)
		case r.URL.Path == "/endless.tar.gz":
			for _, err := w.Write(code); err == nil; _, err = w.Write(make([]byte, 1<<20)) {
			}
		case strings.HasSuffix(r.URL.Path, ".tar.gz"):
			_, _ = w.Write(code)
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	ca := certificate(t, s)
	file := func(name string) nixspace.CodeSource {
		return nixspace.CodeSource{Kind: nixspace.SourceFile, URL: s.URL + name}
	}
	f := fetcher(t, ca, func(c *Config) { c.Limits = nixspace.CodeLimits{Bytes: 4 << 20} })
	var told nixspace.Progress
	got, err := f.Fetch(t.Context(), file("/a.tar.gz"), nixspace.SourceCredentials{}, func(p nixspace.Progress) { told = p })
	if err != nil || told.Done != int64(len(code)) {
		t.Fatal(got, told, err)
	}
	same(t, files(t, f, got.Workspace), map[string]string{"a": "a"})
	if _, err := f.Fetch(t.Context(), file("/private.tar.gz"), nixspace.SourceCredentials{Token: secret}, nil); err != nil {
		t.Error(err)
	}
	for name, code := range map[string]string{
		"/none.zip?signature=" + secret: "source_not_found", "/private.tar.gz?signature=" + secret: "source_unauthorized",
		"/private.tar.gz": "source_unauthorized", "/none.zip": "source_not_found", "/loop.zip": "source_unreachable",
		"/broken.tar.gz": "source_unreachable", "/endless.tar.gz": "source_too_large",
	} {
		if got, err := f.Fetch(t.Context(), file(name), nixspace.SourceCredentials{}, nil); nixspace.ErrorCode(err) != code || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if _, err := fetcher(t, "").Fetch(t.Context(), file("/a.tar.gz"), nixspace.SourceCredentials{}, nil); nixspace.ErrorCode(err) != "source_unreachable" || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody's: got %v", err)
	}
	strict := fetcher(t, ca)
	strict.cfg.Policy.Private = false
	if _, err := strict.Fetch(t.Context(), nixspace.CodeSource{Kind: nixspace.SourceFile, URL: "http://example.org/a.zip"}, nixspace.SourceCredentials{}, nil); nixspace.ErrorCode(err) != "source_scheme" {
		t.Errorf("without encryption: got %v", err)
	}
}

func TestTemplate(t *testing.T) {
	f := fetcher(t, "", func(c *Config) {
		c.Templates = fstest.MapFS{"go/nixspace.toml": {Data: []byte("schema = 1\n")}, "go/run.sh": {Data: []byte("#!/bin/sh\n")}, "README.md": {}}
	})
	got, err := f.Fetch(t.Context(), nixspace.CodeSource{Kind: nixspace.SourceTemplate, Name: "go"}, nixspace.SourceCredentials{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, files(t, f, got.Workspace), map[string]string{"nixspace.toml": "schema = 1\n", "run.sh": "#!/bin/sh\n"})
	for _, name := range []string{"rust", "README.md", "..", "", "go/../go"} {
		if _, err := f.Fetch(t.Context(), nixspace.CodeSource{Kind: nixspace.SourceTemplate, Name: name}, nixspace.SourceCredentials{}, nil); nixspace.ErrorCode(err) != "template_unknown" {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

// FuzzUnpack looks for archives that fail in a way nobody thought of, or that leave
// something behind.
func FuzzUnpack(f *testing.F) {
	f.Add(zipped(entry{"x/a", "a", 0o644}, entry{"x/l", "a", fs.ModeSymlink | 0o777}))
	f.Add(gzipped(tarred(entry{"x/a", "a", 0o644}, entry{"y", "", fs.ModeDir | 0o755})))
	f.Add(zstded(tarred(entry{"../a", "a", 0o644})))
	f.Add([]byte("{ outputs = _: { }; }"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x := fetcher(t, "", func(c *Config) { c.Limits = nixspace.CodeLimits{Bytes: 1 << 20, Files: 100} })
		_, err := x.Unpack(t.Context(), bytes.NewReader(b))
		if err != nil && nixspace.ErrorKind(err) == nixspace.KindInternal {
			t.Fatal(err)
		}
		entries, rerr := os.ReadDir(x.cfg.Dir)
		if rerr != nil || len(entries) > 0 {
			t.Fatal(entries, rerr)
		}
	})
}
