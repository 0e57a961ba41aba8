package web_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/web"
)

func filesPath(q ...string) string {
	v := url.Values{}
	for i := 0; i < len(q); i += 2 {
		v.Set(q[i], q[i+1])
	}
	return "/api/v1/sessions/shop%2F1/files?" + v.Encode()
}

func TestFilesGoThereAndBack(t *testing.T) {
	s, a := withAgent(t, nil)
	dir := filepath.Join(a.root, "workspace/up")
	status, body, _ := s.do(http.MethodPut, filesPath("path", dir, "format", "raw", "name", "sub/notes ü.txt"), strings.NewReader("hello"))
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "sub/notes ü.txt")); string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	_ = w.WriteHeader(&tar.Header{Name: "run.sh", Typeflag: tar.TypeReg, Mode: 0o755, Size: 3})
	_, _ = w.Write([]byte("ls\n"))
	_ = w.WriteHeader(&tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "run.sh"})
	_ = w.Close()
	status, body, _ = s.do(http.MethodPut, filesPath("path", dir, "format", "tar"), &archive)
	var written nixspace.FilesWritten
	if status != http.StatusOK || json.Unmarshal([]byte(body), &written) != nil || written.Bytes != 3 {
		t.Fatalf("%d %s", status, body)
	}

	status, body, h := s.do(http.MethodGet, filesPath("path", filepath.Join(dir, "sub/notes ü.txt")), nil)
	if status != http.StatusOK || body != "hello" || h.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") {
		t.Errorf("%d %q %v", status, body, h)
	}
	status, body, h = s.do(http.MethodGet, filesPath("path", dir), nil)
	if status != http.StatusOK || !strings.Contains(h.Get("Content-Disposition"), "up.zip") {
		t.Fatalf("%d %v", status, h)
	}
	z, err := zip.NewReader(strings.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r)
		r.Close()
		names[f.Name] = f.Mode().String() + " " + string(b)
	}
	for name, want := range map[string]string{"up/run.sh": "-rwxr-xr-x ls\n", "up/sub/notes ü.txt": "-rw-r--r-- hello"} {
		if names[name] != want {
			t.Errorf("%s is %q, want %q, of %v", name, names[name], want, names)
		}
	}
	if !strings.HasPrefix(names["up/link"], "L") {
		t.Errorf("a link is %q", names["up/link"])
	}
	// What was sent as a ZIP comes back as it was.
	again := filepath.Join(a.root, "workspace/again")
	if status, body, _ := s.do(http.MethodPut, filesPath("path", again, "format", "zip"), strings.NewReader(body)); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if b, err := os.ReadFile(filepath.Join(again, "up/sub/notes ü.txt")); string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	if info, err := os.Lstat(filepath.Join(again, "up/link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%v, %v", info, err)
	}
	for _, format := range []string{"tar", "tar.gz"} {
		if status, body, _ := s.do(http.MethodGet, filesPath("path", dir, "format", format), nil); status != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: %d", format, status)
		}
	}
	status, body, _ = s.do(http.MethodGet, "/api/v1/sessions/shop%2F1/list?path="+url.QueryEscape(dir), nil)
	var list struct{ Files []nixspace.FileInfo }
	if status != http.StatusOK || json.Unmarshal([]byte(body), &list) != nil || len(list.Files) != 3 || list.Files[2].Type != "dir" {
		t.Errorf("%d %s", status, body)
	}
}

// zipOf is a ZIP with one file of that many zeros.
func zipOf(name string, size int) *bytes.Buffer {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.Create(name)
	_, _ = w.Write(make([]byte, size))
	_ = z.Close()
	return &b
}

func TestFilesAreRefused(t *testing.T) {
	s, a := withAgent(t, func(c *web.Config) { c.MaxFiles = 3000 })
	dir := filepath.Join(a.root, "workspace")
	evil := func(name, link string) *bytes.Buffer {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if link != "" {
			_ = w.WriteHeader(&tar.Header{Name: "d", Typeflag: tar.TypeSymlink, Linkname: link})
		}
		_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644})
		return &b
	}
	for name, tt := range map[string]struct {
		method string
		q      []string
		body   io.Reader
		code   string
	}{
		"a file above":              {http.MethodPut, []string{"path", dir, "format", "raw", "name", "../x"}, strings.NewReader("x"), "name_invalid"},
		"a file at the root":        {http.MethodPut, []string{"path", dir, "format", "raw", "name", "/x"}, strings.NewReader("x"), "name_invalid"},
		"a file without a name":     {http.MethodPut, []string{"path", dir, "format", "raw"}, strings.NewReader("x"), "name_invalid"},
		"an archive that climbs":    {http.MethodPut, []string{"path", dir}, evil("../x", ""), "archive_invalid"},
		"an archive with a way out": {http.MethodPut, []string{"path", dir}, evil("d/x", "/tmp"), "archive_invalid"},
		"too much":                  {http.MethodPut, []string{"path", dir, "format", "raw", "name", "x"}, strings.NewReader(strings.Repeat("x", 3001)), "body_too_large"},
		"too much, unannounced":     {http.MethodPut, []string{"path", dir}, io.MultiReader(evil("y", ""), strings.NewReader(strings.Repeat("x", 6000))), "body_too_large"},
		"a ZIP that climbs":         {http.MethodPut, []string{"path", dir, "format", "zip"}, zipOf("../x", 1), "archive_invalid"},
		"a ZIP that unfolds":        {http.MethodPut, []string{"path", dir, "format", "zip"}, zipOf("x", 1<<20), "body_too_large"},
		"no ZIP":                    {http.MethodPut, []string{"path", dir, "format", "zip"}, strings.NewReader("no"), "archive_invalid"},
		"another format":            {http.MethodPut, []string{"path", dir, "format", "rar"}, strings.NewReader(""), "format_unknown"},
		"no absolute path":          {http.MethodGet, []string{"path", "workspace"}, nil, "path_invalid"},
		"no such file":              {http.MethodGet, []string{"path", dir + "/none"}, nil, "file_not_found"},
		"a folder as a file":        {http.MethodGet, []string{"path", dir, "format", "raw"}, nil, "not_a_file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, body, _ := s.do(tt.method, filesPath(tt.q...), tt.body)
			var e struct{ Error struct{ Code string } }
			if json.Unmarshal([]byte(body), &e) != nil || e.Error.Code != tt.code {
				t.Errorf("%s, want code %s", body, tt.code)
			}
		})
	}
	if _, err := os.Stat("/tmp/x"); err == nil {
		t.Error("an archive wrote to /tmp")
	}
}
