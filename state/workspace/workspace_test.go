package workspace

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/nixspace/nixspace"
)

func file(name, content string) func(*tar.Writer) {
	return func(w *tar.Writer) {
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg})
		_, _ = w.Write([]byte(content))
	}
}

func entry(kind byte, name, target string) func(*tar.Writer) {
	return func(w *tar.Writer) {
		_ = w.WriteHeader(&tar.Header{Name: name, Linkname: target, Mode: 0o755, Typeflag: kind})
	}
}

func archive(entries ...func(*tar.Writer)) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e(w)
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

func open(t testing.TB, limits nixspace.CodeLimits) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// left lists what a store's directory holds.
func left(t testing.TB, s *Store) []string {
	t.Helper()
	es, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range es {
		names = append(names, e.Name())
	}
	return names
}

func TestPutAndRead(t *testing.T) {
	plain := archive(
		entry(tar.TypeDir, "./", ""), file("./nixspace.toml", "schema = 1\n"), entry(tar.TypeDir, "src", ""),
		file("src/a", "a"), entry(tar.TypeSymlink, "src/b", "../nixspace.toml"), entry(tar.TypeLink, "src/c", "src/a"),
	)
	sum := sha256.Sum256(plain)
	for name, upload := range map[string][]byte{"plain": plain, "gzip": gzipped(plain), "zstd": zstded(plain)} {
		t.Run(name, func(t *testing.T) {
			s := open(t, nixspace.CodeLimits{})
			w, err := s.Put(t.Context(), iotest.OneByteReader(bytes.NewReader(upload)))
			if err != nil {
				t.Fatal(err)
			}
			if want := (nixspace.Workspace{Digest: hex.EncodeToString(sum[:]), Size: int64(len(plain)), Files: 6}); w != want {
				t.Errorf("got %+v, want %+v", w, want)
			}
			got, err := s.ReadFile(t.Context(), w.Digest, "nixspace.toml")
			if err != nil || string(got) != "schema = 1\n" {
				t.Errorf("got %q, %v", got, err)
			}
			_, err = s.ReadFile(t.Context(), w.Digest, "nothing")
			if nixspace.ErrorKind(err) != nixspace.KindNotFound {
				t.Errorf("a file that is not there: got %v", err)
			}
			p, err := s.Path(w.Digest)
			if err != nil || filepath.Base(p) != w.Digest+".tar.zst" {
				t.Errorf("got %s, %v", p, err)
			}
			if again, err := s.Put(t.Context(), bytes.NewReader(upload)); err != nil || again != w {
				t.Errorf("a second time: got %+v, %v", again, err)
			}
			if names := left(t, s); len(names) != 1 {
				t.Errorf("the store holds %v", names)
			}
		})
	}
}

func TestPutRefuses(t *testing.T) {
	deep := strings.Repeat("d/", maxDepth+1) + "f"
	good := archive(file("a", strings.Repeat("content ", 1000)))
	for name, test := range map[string]struct {
		upload []byte
		code   string
	}{
		"nothing":                    {nil, "workspace_invalid"},
		"no tar":                     {[]byte(strings.Repeat("this is no tar ", 100)), "workspace_invalid"},
		"an empty tar":               {archive(), "workspace_invalid"},
		"a truncated tar":            {good[:700], "workspace_invalid"},
		"a truncated gzip":           {gzipped(good)[:30], "workspace_invalid"},
		"a truncated zstd":           {zstded(good)[:30], "workspace_invalid"},
		"damaged gzip":               {append(gzipped(good)[:20], make([]byte, 20)...), "workspace_invalid"},
		"an absolute name":           {archive(file("/etc/passwd", "x")), "workspace_invalid"},
		"a name that leaves":         {archive(file("a/../../b", "x")), "workspace_invalid"},
		"an absolute link":           {archive(entry(tar.TypeSymlink, "a", "/etc")), "workspace_invalid"},
		"a link that leaves":         {archive(entry(tar.TypeSymlink, "d/a", "../../b")), "workspace_invalid"},
		"a link that turns back":     {archive(entry(tar.TypeSymlink, "a", "b/../c")), "workspace_invalid"},
		"a name below a link":        {archive(entry(tar.TypeSymlink, "a", "b"), file("a/c", "x")), "workspace_invalid"},
		"a hard link that leaves":    {archive(entry(tar.TypeLink, "a", "../b")), "workspace_invalid"},
		"a hard link to a link":      {archive(entry(tar.TypeSymlink, "a", "b"), entry(tar.TypeLink, "c", "a")), "workspace_invalid"},
		"the root as a link":         {archive(entry(tar.TypeSymlink, ".", "b")), "workspace_invalid"},
		"a device":                   {archive(entry(tar.TypeChar, "null", "")), "workspace_invalid"},
		"a pipe":                     {archive(entry(tar.TypeFifo, "pipe", "")), "workspace_invalid"},
		"a name that is too deep":    {archive(file(deep, "x")), "workspace_invalid"},
		"too many files":             {archive(file("a", ""), file("b", ""), file("c", ""), file("d", "")), "workspace_too_large"},
		"too many bytes":             {archive(file("a", strings.Repeat("x", 70_000))), "workspace_too_large"},
		"too many bytes, compressed": {zstded(archive(file("a", strings.Repeat("x", 10<<20)))), "workspace_too_large"},
		"too much padding":           {append(archive(file("a", "x")), make([]byte, 70_000)...), "workspace_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, nixspace.CodeLimits{Bytes: 64 << 10, Files: 3})
			_, err := s.Put(t.Context(), bytes.NewReader(test.upload))
			if nixspace.ErrorCode(err) != test.code {
				t.Errorf("got %v (%s), want %s", err, nixspace.ErrorCode(err), test.code)
			}
			if names := left(t, s); len(names) != 0 {
				t.Errorf("the store holds %v", names)
			}
		})
	}
}

func TestPutBrokenOff(t *testing.T) {
	s := open(t, nixspace.CodeLimits{})
	good := archive(file("a", strings.Repeat("x", 1<<20)))
	_, err := s.Put(t.Context(), io.MultiReader(bytes.NewReader(good[:5000]), iotest.ErrReader(errors.New("connection reset"))))
	if nixspace.ErrorCode(err) != "workspace_invalid" {
		t.Errorf("a lost connection: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = s.Put(ctx, bytes.NewReader(good)); nixspace.ErrorKind(err) != nixspace.KindCanceled {
		t.Errorf("a context that ended: got %v", err)
	}
	if names := left(t, s); len(names) != 0 {
		t.Errorf("the store holds %v", names)
	}
}

func TestOpenCleansUp(t *testing.T) {
	s := open(t, nixspace.CodeLimits{})
	if err := os.WriteFile(filepath.Join(s.dir, ".upload-123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.dir, nixspace.CodeLimits{}); err != nil {
		t.Fatal(err)
	}
	if names := left(t, s); len(names) != 0 {
		t.Errorf("the store holds %v", names)
	}
}

func TestPathRefusesNames(t *testing.T) {
	s := open(t, nixspace.CodeLimits{})
	for _, digest := range []string{"", "../x", strings.Repeat("a", 63), strings.Repeat("A", 64), strings.Repeat("a", 64)} {
		if _, err := s.Path(digest); nixspace.ErrorKind(err) != nixspace.KindNotFound {
			t.Errorf("%q: got %v", digest, err)
		}
	}
}

// FuzzPut looks for archives that are kept and cannot be read again, or that
// hold a name which leaves the tree.
func FuzzPut(f *testing.F) {
	f.Add(archive(file("a", "x")))
	f.Add(gzipped(archive(entry(tar.TypeSymlink, "a", "../b"))))
	f.Add(zstded(archive(entry(tar.TypeDir, "a", ""), entry(tar.TypeLink, "b", "a/c"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := open(t, nixspace.CodeLimits{Bytes: 1 << 20, Files: 100})
		w, err := s.Put(t.Context(), bytes.NewReader(b))
		if err != nil {
			if nixspace.ErrorKind(err) == nixspace.KindInternal {
				t.Fatal(err)
			}
			return
		}
		p, err := s.Path(w.Digest)
		if err != nil {
			t.Fatal(err)
		}
		_, err = readStored(t.Context(), p, func(r io.Reader) (int64, error) {
			tr := tar.NewReader(r)
			for {
				h, err := tr.Next()
				if errors.Is(err, io.EOF) {
					return 0, nil
				}
				if err != nil {
					return 0, err
				}
				if !filepath.IsLocal(h.Name) && filepath.Clean(h.Name) != "." {
					t.Errorf("kept a name that leaves the tree: %q", h.Name)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
