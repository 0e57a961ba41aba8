package pack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/pack"
)

// tree makes files. A content that begins with -> is a link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "->"); ok {
			err = os.Symlink(target, p)
		} else {
			err = os.WriteFile(p, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// read returns what an archive holds, as tree takes it, with x: before the
// content of executable files.
func read(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		content := string(b)
		switch {
		case h.Typeflag == tar.TypeSymlink:
			content = "->" + h.Linkname
		case h.FileInfo().Mode()&0o111 != 0:
			content = "x:" + content
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() != 1 {
			t.Errorf("%s tells of this machine: %+v", h.Name, h)
		}
		files[h.Name] = content
	}
}

func dir(t *testing.T, path string) (map[string]string, pack.Stats, []byte) {
	t.Helper()
	var b bytes.Buffer
	st, err := pack.Dir(t.Context(), path, &b, nixspace.CodeLimits{})
	if err != nil {
		t.Fatal(err)
	}
	return read(t, b.Bytes()), st, b.Bytes()
}

func TestPlainFolder(t *testing.T) {
	path := tree(t, map[string]string{
		"main.js": "code", "lib/a.js": "a", "run.sh": "#!/bin/sh", "empty": "", "ünï code": "u",
		"node_modules/x/index.js": "generated", "sub/node_modules/y.js": "generated", ".DS_Store": "x",
		"inside": "->lib/a.js", "lib/up": "->../main.js", "out": "->/etc/passwd", "lib/out": "->../../x",
	})
	if err := os.Chmod(filepath.Join(path, "run.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(path, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, st, archive := dir(t, path)
	want := map[string]string{
		"main.js": "code", "lib/a.js": "a", "run.sh": "x:#!/bin/sh", "empty": "", "ünï code": "u", "inside": "->lib/a.js", "lib/up": "->../main.js",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("archive (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"lib/out", "out", "pipe"}, st.Skipped); diff != "" || st.Git || st.Files != 7 || st.Bytes != 4+1+9+1 {
		t.Errorf("stats %+v", st)
	}
	// The same tree elsewhere, made at another time, is the same archive.
	if err := os.Chtimes(filepath.Join(path, "main.js"), time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	if _, _, again := dir(t, path); !bytes.Equal(archive, again) {
		t.Error("equal trees made different archives")
	}
}

func TestGitWorkTree(t *testing.T) {
	path := tree(t, map[string]string{
		".gitignore": "dist/\n.env\n", "a.js": "a", "gone.js": "gone", "dist/b.js": "generated", ".env": "SECRET=1", "new.js": "untracked",
		"sub/keep.js": "k", "node_modules/mine.js": "tracked on purpose",
	})
	git(t, path, "init", "-q")
	git(t, path, "add", ".gitignore", "a.js", "gone.js", "node_modules/mine.js")
	if err := os.Remove(filepath.Join(path, "gone.js")); err != nil {
		t.Fatal(err)
	}
	got, st, _ := dir(t, path)
	want := map[string]string{".gitignore": "dist/\n.env\n", "a.js": "a", "new.js": "untracked", "sub/keep.js": "k", "node_modules/mine.js": "tracked on purpose"}
	if diff := cmp.Diff(want, got); diff != "" || !st.Git {
		t.Errorf("git %v, archive (-want +got):\n%s", st.Git, diff)
	}
	// A part of the work tree is a folder of its own.
	if got, _, _ := dir(t, filepath.Join(path, "sub")); !cmp.Equal(got, map[string]string{"keep.js": "k"}) {
		t.Errorf("part of the work tree: %v", got)
	}
}

func TestGitRunsNothing(t *testing.T) {
	path := tree(t, map[string]string{"a": "a", "hook.sh": "#!/bin/sh\ntouch \"$(dirname \"$0\")/ran\"\n"})
	git(t, path, "init", "-q")
	if err := os.Chmod(filepath.Join(path, "hook.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, path, "config", "core.fsmonitor", filepath.Join(path, "hook.sh"))
	dir(t, path)
	if _, err := os.Lstat(filepath.Join(path, "ran")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a program of the folder was run: %v", err)
	}
}

func TestLimits(t *testing.T) {
	path := tree(t, map[string]string{"a": "12345", "b": "12345", "c": "1"})
	for _, tt := range []struct {
		name string
		path string
		l    nixspace.CodeLimits
		code string
	}{
		{"bytes", path, nixspace.CodeLimits{Bytes: 10, Files: 10}, "folder_too_large"},
		{"files", path, nixspace.CodeLimits{Bytes: 100, Files: 2}, "too_many_files"},
		{"just fits", path, nixspace.CodeLimits{Bytes: 11, Files: 3}, ""},
		{"no folder", filepath.Join(path, "nope"), nixspace.CodeLimits{}, "folder_not_found"},
		{"a file", filepath.Join(path, "a"), nixspace.CodeLimits{}, "folder_invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := pack.Dir(t.Context(), tt.path, io.Discard, tt.l)
			if tt.code == "" && err != nil || tt.code != "" && nixspace.ErrorCode(err) != tt.code {
				t.Errorf("error %v, want code %q", err, tt.code)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pack.Dir(ctx, path, io.Discard, nixspace.CodeLimits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after it was given up: %v", err)
	}
}

func TestFS(t *testing.T) {
	var b bytes.Buffer
	st, err := pack.FS(t.Context(), fstest.MapFS{
		"a/b.txt": {Data: []byte("B")}, "run": {Data: []byte("C"), Mode: 0o755}, "node_modules/x": {Data: []byte("made again")},
	}, &b, nixspace.CodeLimits{})
	if err != nil || st.Files != 2 || st.Bytes != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	if diff := cmp.Diff(map[string]string{"a/b.txt": "B", "run": "x:C"}, read(t, b.Bytes())); diff != "" {
		t.Error(diff)
	}
}
