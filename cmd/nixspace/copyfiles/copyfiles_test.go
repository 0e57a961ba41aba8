package copyfiles

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/nixspace/nixspace"
)

func TestThereAndBack(t *testing.T) {
	src := filepath.Join(t.TempDir(), "code")
	for name, text := range map[string]string{"a.txt": "a", "sub/run.sh": "#!/bin/sh\n", "sub/empty": ""} {
		p := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(src, "sub/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(src, "link")); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Pack(&b, src, "code"); err != nil {
		t.Fatal(err)
	}
	dst := t.TempDir()
	n, err := Unpack(&b, dst, "copy")
	if err != nil || n.Files != 6 || n.Bytes != 11 {
		t.Fatalf("%+v, %v", n, err)
	}
	if got, err := os.ReadFile(filepath.Join(dst, "copy/a.txt")); string(got) != "a" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if info, err := os.Stat(filepath.Join(dst, "copy/sub/run.sh")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	if to, err := os.Readlink(filepath.Join(dst, "copy/link")); to != "/etc/passwd" || err != nil {
		t.Errorf("%q, %v", to, err)
	}
}

func TestUnpackStaysInItsFolder(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(outside, []byte("safe"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, members := range map[string][]tar.Header{
		"above":        {{Name: "x/../../victim", Typeflag: tar.TypeReg, Size: 4}},
		"absolute":     {{Name: outside, Typeflag: tar.TypeReg, Size: 4}},
		"through link": {{Name: "d", Typeflag: tar.TypeSymlink, Linkname: filepath.Dir(outside)}, {Name: "d/victim", Typeflag: tar.TypeReg, Size: 4}},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range members {
			h.Mode = 0o644
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if h.Size > 0 {
				_, _ = w.Write([]byte("evil"))
			}
		}
		_ = w.Close()
		if _, err := Unpack(&b, t.TempDir(), ""); err == nil {
			t.Errorf("%s: it was unpacked", name)
		} else if name != "through link" && nixspace.ErrorCode(err) != "archive_invalid" {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(outside); string(got) != "safe" {
			t.Fatalf("%s: it wrote outside of its folder", name)
		}
	}
	// A link in the way is replaced, and what it points to is left alone.
	dir := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "f")); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "f", Typeflag: tar.TypeReg, Size: 4, Mode: 0o644})
	_, _ = w.Write([]byte("evil"))
	_ = w.Close()
	if _, err := Unpack(&b, dir, ""); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(outside); string(got) != "safe" {
		t.Error("it wrote through a link")
	}
}
