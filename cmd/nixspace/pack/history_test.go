package pack

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/nixspace/nixspace"
)

// work runs git in a folder as a person does.
func work(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func save(t *testing.T, dir, name, text string) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// repository makes one with two commits.
func repository(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not here")
	}
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	work(t, dir, "init", "-q", "-b", "main")
	for _, text := range []string{"first", "second"} {
		save(t, dir, "a.txt", text+"\n")
		save(t, dir, "sub/b.txt", "b\n")
		work(t, dir, "add", ".")
		work(t, dir, "commit", "-q", "-m", text)
	}
	return dir
}

// packed packs a repository and unpacks it elsewhere.
func packed(t *testing.T, dir string) (Stats, []byte, string) {
	t.Helper()
	var b bytes.Buffer
	st, err := Repository(t.Context(), dir, &b, nixspace.CodeLimits{})
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	to := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return st, b.Bytes(), to
		}
		if err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(to, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(p, 0o755)
		} else {
			text, rerr := io.ReadAll(r)
			err = errors.Join(rerr, os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, text, 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestHistory(t *testing.T) {
	dir := repository(t)
	work(t, dir, "remote", "add", "origin", "https://ada:let-me-in@example.org/shop.git?x=tok-query")
	work(t, dir, "remote", "add", "work", "git@example.org:ada/shop.git")
	work(t, dir, "remote", "add", "disk", "/home/ada/secret-place")
	work(t, dir, "config", "http.extraheader", "Authorization: tok-header")
	work(t, dir, "config", "branch.main.remote", "origin")
	work(t, dir, "update-ref", "refs/remotes/origin/main", "HEAD~1")
	// What is not of the branch stays where it is.
	work(t, dir, "checkout", "-q", "-b", "other")
	save(t, dir, "private.txt", "tok-branch\n")
	work(t, dir, "add", ".")
	work(t, dir, "commit", "-q", "-m", "tok-commit")
	work(t, dir, "checkout", "-q", "main")
	save(t, dir, "a.txt", "tok-stash\n")
	work(t, dir, "stash", "-q")
	// Programs of the repository do not run.
	trap := filepath.Join(t.TempDir(), "ran")
	for _, hook := range []string{"post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"} {
		save(t, dir, ".git/hooks/"+hook, "#!/bin/sh\ntouch "+trap+"\n")
		if err := os.Chmod(filepath.Join(dir, ".git/hooks", hook), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	work(t, dir, "config", "core.fsmonitor", "touch "+trap)
	work(t, dir, "config", "uploadpack.packObjectsHook", "touch "+trap)
	save(t, dir, "a.txt", "changed\n")
	save(t, dir, "new.txt", "new\n")

	st, bytes1, to := packed(t, dir)
	if _, err := os.Stat(trap); err == nil {
		t.Error("a program of the repository ran")
	}
	if !st.History || st.Note != "" || st.Files != 3 {
		t.Errorf("got %+v", st)
	}
	for what, want := range map[string]string{
		"log --format=%s":                  "second\nfirst",
		"status --porcelain":               "M a.txt\n?? new.txt",
		"branch --show-current":            "main",
		"remote":                           "origin\nwork",
		"remote get-url origin":            "https://example.org/shop.git",
		"remote get-url work":              "git@example.org:ada/shop.git",
		"rev-parse --abbrev-ref @{u}":      "origin/main",
		"rev-list --count @{u}..":          "1",
		"fsck --strict":                    "",
		"for-each-ref --format=%(refname)": "refs/heads/main\nrefs/remotes/origin/main",
	} {
		if got := work(t, to, strings.Fields(what)...); got != want {
			t.Errorf("git %s says\n%s\nwant\n%s", what, got, want)
		}
	}
	_ = filepath.WalkDir(to, func(p string, d os.DirEntry, _ error) error {
		if b, err := os.ReadFile(p); err == nil && (bytes.Contains(b, []byte("tok-")) || bytes.Contains(b, []byte("let-me-in")) || bytes.Contains(b, []byte("secret-place"))) {
			t.Errorf("%s has a secret", p)
		}
		return nil
	})
	if all := work(t, to, "cat-file", "--batch-all-objects", "--batch"); strings.Contains(all, "tok-") {
		t.Error("objects of another branch went along")
	}
	// The same once more is the same.
	if _, bytes2, _ := packed(t, dir); !bytes.Equal(bytes1, bytes2) {
		t.Error("equal repositories make different archives")
	}
}

func TestHistoryOfOthers(t *testing.T) {
	dir := repository(t)
	work(t, dir, "checkout", "-q", "--detach", "HEAD~1")
	if _, _, to := packed(t, dir); work(t, to, "log", "--format=%s") != "first" || work(t, to, "status", "--porcelain") != "" {
		t.Error("a detached head is not what it was")
	}
	// A further work tree, and a shallow clone.
	tree := filepath.Join(t.TempDir(), "tree")
	work(t, dir, "worktree", "add", "-q", "-b", "topic", tree, "main")
	clone := filepath.Join(t.TempDir(), "clone")
	work(t, dir, "clone", "-q", "--depth=1", "--branch=main", "file://"+dir, clone)
	for d, want := range map[string]string{tree: "topic second\nfirst", clone: "main second"} {
		_, _, to := packed(t, d)
		if got := work(t, to, "branch", "--show-current") + " " + work(t, to, "log", "--format=%s"); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
	// A part of a work tree, a repository without commits and a plain folder have none.
	empty := filepath.Join(t.TempDir(), "empty")
	save(t, empty, "x", "x")
	work(t, empty, "init", "-q")
	plain := t.TempDir()
	save(t, plain, "x", "x")
	for _, d := range []string{filepath.Join(dir, "sub"), empty, plain} {
		if st, _, to := packed(t, d); st.History || st.Files != 1 || st.Note != "" {
			t.Errorf("%s: %+v", d, st)
		} else if _, err := os.Stat(filepath.Join(to, ".git")); err == nil {
			t.Errorf("%s has a history", d)
		}
	}
}

func TestPlainAddress(t *testing.T) {
	for in, want := range map[string]string{
		"https://example.org/a.git":                 "https://example.org/a.git",
		"https://ada:pw@example.org/a.git#x":        "https://example.org/a.git",
		"https://tok@example.org/a.git?private=tok": "https://example.org/a.git",
		"ssh://git:pw@example.org:2222/a.git":       "ssh://git@example.org:2222/a.git",
		"git@example.org:ada/a.git":                 "git@example.org:ada/a.git",
		"/home/ada/a":                               "", "file:///home/ada/a": "", "../a": "", "ext::sh -c id": "", "C:\\a": "", "": "", "https://": "",
		"example.org:a b": "",
	} {
		if got := plainAddress(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
