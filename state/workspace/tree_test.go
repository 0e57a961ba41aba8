package workspace

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nixspace/nixspace"
)

func TestTree(t *testing.T) {
	s := open(t, nixspace.CodeLimits{})
	w, err := s.Put(t.Context(), bytes.NewReader(archive(
		file("./a", "1"), file("d/e/f", "2"), entry(tar.TypeDir, "d/", ""), entry(tar.TypeSymlink, "l", "a"), file("a", "3"),
		file("large", strings.Repeat("x", maxReadFile+1)),
	)))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := s.Tree(t.Context(), w.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	for name, want := range map[string]string{"a": "3", "d/e/f": "2"} {
		if b, err := fs.ReadFile(tree, name); err != nil || string(b) != want {
			t.Errorf("%s: got %q, %v", name, b, err)
		}
	}
	for _, name := range []string{"l", "nothing", "large", "d", "../a"} {
		if b, err := fs.ReadFile(tree, name); err == nil {
			t.Errorf("%s: got %.20q", name, b)
		}
	}
	entries, err := fs.ReadDir(tree, ".")
	var names []string
	for _, e := range entries {
		names = append(names, e.Type().String()+e.Name())
	}
	if got := strings.Join(names, " "); err != nil || got != "----------a d---------d L---------l ----------large" {
		t.Errorf("got %s, %v", got, err)
	}
	if names := left(t, s); len(names) != 1 {
		t.Errorf("the store holds %v", names)
	}
	if _, err := s.Tree(t.Context(), strings.Repeat("a", 64)); nixspace.ErrorKind(err) != nixspace.KindNotFound {
		t.Errorf("no such code: got %v", err)
	}
}

func TestTreeIsAFileSystem(t *testing.T) {
	s := open(t, nixspace.CodeLimits{})
	w, err := s.Put(t.Context(), bytes.NewReader(archive(file("a", "1"), file("d/e/f", "2"), file("d/g", ""))))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := s.Tree(t.Context(), w.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if err := fstest.TestFS(tree, "a", "d/e/f", "d/g"); err != nil {
		t.Error(err)
	}
}

func TestWithFile(t *testing.T) {
	s := open(t, nixspace.CodeLimits{})
	w, err := s.Put(t.Context(), bytes.NewReader(archive(file("./a", "1"), file("d/b", "2"))))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		digest string
		want   map[string]string
	}{
		{w.Digest, map[string]string{"a": "new", "d/b": "2"}},
		{"", map[string]string{"a": "new"}},
	} {
		got, err := s.WithFile(t.Context(), test.digest, "a", []byte("new"))
		if err != nil || got.Files != len(test.want) {
			t.Fatalf("got %+v, %v", got, err)
		}
		for name, want := range test.want {
			if b, err := s.ReadFile(t.Context(), got.Digest, name); err != nil || string(b) != want {
				t.Errorf("%s: got %q, %v", name, b, err)
			}
		}
	}
	if b, err := s.ReadFile(t.Context(), w.Digest, "a"); err != nil || string(b) != "1" {
		t.Errorf("the first one has %q, %v", b, err)
	}
	if _, err := s.WithFile(t.Context(), strings.Repeat("a", 64), "a", nil); nixspace.ErrorKind(err) != nixspace.KindNotFound {
		t.Errorf("no such code: got %v", err)
	}
}
