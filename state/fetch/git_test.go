package fetch

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/nixspace/nixspace"
)

func untarMap(t *testing.T, r io.Reader) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeSymlink {
			b = []byte(h.Linkname)
		}
		m[strings.TrimSuffix(h.Name, "/")] = &fstest.MapFile{Data: b, Mode: h.FileInfo().Mode()}
	}
}

func TestRepository(t *testing.T) {
	s := newForge(t)
	first := map[string]string{"README.md": "one\n", "api/main.go": "package main\n", "api/deep/x": "x", ".gitattributes": "README.md export-ignore\n"}
	s.repository("shop", first)
	old := s.run("shop", "rev-parse", "HEAD")
	s.run("shop", "tag", "-a", "v1", "-m", "one")
	s.run("shop", "checkout", "-q", "-b", "feature/x")
	s.commit("shop", "second", map[string]string{"README.md": "two\n"})
	s.run("shop", "update-ref", "refs/pull/7/head", "HEAD")
	second := s.run("shop", "rev-parse", "HEAD")
	s.run("shop", "checkout", "-q", "main")
	f := fetcher(t, s.ca)

	with := func(set func(*nixspace.CodeSource)) nixspace.CodeSource {
		c := s.source("shop")
		set(&c)
		return c
	}
	two := map[string]string{"README.md": "two\n", "api/main.go": "package main\n", "api/deep/x": "x", ".gitattributes": "README.md export-ignore\n"}
	api := map[string]string{"main.go": "package main\n", "deep/x": "x"}
	for name, test := range map[string]struct {
		source      nixspace.CodeSource
		ref, commit string
		files       map[string]string
		history     bool
	}{
		"the default branch": {s.source("shop"), "refs/heads/main", old, first, true},
		"a branch":           {with(func(c *nixspace.CodeSource) { c.Ref = "feature/x" }), "refs/heads/feature/x", second, two, true},
		"a tag":              {with(func(c *nixspace.CodeSource) { c.Ref = "v1" }), "refs/tags/v1", old, first, true},
		"a commit":           {with(func(c *nixspace.CodeSource) { c.Ref = second }), "", second, two, true},
		"a shortened commit": {with(func(c *nixspace.CodeSource) { c.Ref = second[:9] }), "", second, two, true},
		"a pull request":     {with(func(c *nixspace.CodeSource) { c.Ref, c.Pull = "refs/pull/7/head", 7 }), "refs/pull/7/head", second, two, true},
		"a folder":           {with(func(c *nixspace.CodeSource) { c.Dir = "api" }), "refs/heads/main", old, api, false},
		"a page of a folder": {with(func(c *nixspace.CodeSource) { c.Path = "feature/x/api" }), "refs/heads/feature/x", second, api, false},
		"a page of a branch": {with(func(c *nixspace.CodeSource) { c.Path = "feature/x" }), "refs/heads/feature/x", second, two, true},
		"a page of a commit": {with(func(c *nixspace.CodeSource) { c.Path = old }), "", old, first, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := f.Fetch(t.Context(), test.source, nixspace.SourceCredentials{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.Ref != test.ref || got.Commit != test.commit || got.History != test.history {
				t.Errorf("got %+v", got)
			}
			same(t, files(t, f, got.Workspace), test.files)
		})
	}
	for name, test := range map[string]struct {
		source nixspace.CodeSource
		code   string
	}{
		"no such repository":   {s.source("nothing"), "source_not_found"},
		"no such branch":       {with(func(c *nixspace.CodeSource) { c.Ref = "nothing" }), "ref_unknown"},
		"no such pull request": {with(func(c *nixspace.CodeSource) { c.Ref, c.Pull = "refs/pull/8/head", 8 }), "ref_unknown"},
		"no such commit":       {with(func(c *nixspace.CodeSource) { c.Ref = strings.Repeat("ab", 20) }), "ref_unknown"},
		"no such short commit": {with(func(c *nixspace.CodeSource) { c.Ref = "abababab" }), "ref_unknown"},
		"no such folder":       {with(func(c *nixspace.CodeSource) { c.Dir = "web" }), "source_folder_unknown"},
		"a file as a folder":   {with(func(c *nixspace.CodeSource) { c.Dir = "README.md" }), "source_folder_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := f.Fetch(t.Context(), test.source, nixspace.SourceCredentials{}, nil); nixspace.ErrorCode(err) != test.code {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestHistory uses git in what was stored, as a person in a session does.
func TestHistory(t *testing.T) {
	s := newForge(t)
	s.repository("shop", map[string]string{"a": "1", "run.sh": "#!/bin/sh\n"})
	for range 8 {
		s.commit("shop", "more", nil)
	}
	s.commit("shop", "last", map[string]string{"a": "2"})
	f := fetcher(t, s.ca, func(c *Config) { c.Depth = 4 })
	got, err := f.Fetch(t.Context(), s.source("shop"), nixspace.SourceCredentials{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, unpacked(t, f, got.Workspace)); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if out := git("status", "--porcelain", "--branch"); out != "## main...origin/main" {
		t.Errorf("git status says %q", out)
	}
	if out := git("log", "--format=%s"); out != "last\nmore\nmore\nmore" {
		t.Errorf("git log says %q", out)
	}
	if out := git("remote", "get-url", "origin"); out != s.URL+"/shop" {
		t.Errorf("origin is %q", out)
	}
	git("diff", "HEAD~2")
	if out := git("fsck"); strings.Contains(out, "missing") {
		t.Errorf("git fsck says %q", out)
	}
	// A repository that is too large for it keeps no history.
	f = fetcher(t, s.ca, func(c *Config) { c.History = 1 })
	if got, err := f.Fetch(t.Context(), s.source("shop"), nixspace.SourceCredentials{}, nil); err != nil || got.History || len(got.Notes) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestLeftOut fetches what a workspace cannot have.
func TestLeftOut(t *testing.T) {
	s := newForge(t)
	s.repository("links", map[string]string{
		"in": "-> dir/a", "dir/a": "a", "dir/up": "-> ../in", "out": "-> ../../etc/passwd", "abs": "-> /etc/passwd",
		".gitattributes": "*.bin filter=lfs\n", ".gitmodules": "",
	})
	f := fetcher(t, s.ca)
	got, err := f.Fetch(t.Context(), s.source("links"), nixspace.SourceCredentials{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, files(t, f, got.Workspace), map[string]string{
		"in": "-> dir/a", "dir/a": "a", "dir/up": "-> ../in", ".gitattributes": "*.bin filter=lfs\n", ".gitmodules": "",
	})
	notes := strings.Join(got.Notes, "\n")
	for _, want := range []string{"out", "abs", "2 in all", "submodules", "LFS"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not say %s: %s", want, notes)
		}
	}
}

// secret must be seen by nobody but the server.
const secret = "tok-0123456789-secret"

func TestPrivateRepository(t *testing.T) {
	s := newForge(t)
	s.repository("mine", map[string]string{"a": "1"})
	s.users["mine"] = "x-access-token:" + secret
	f := fetcher(t, s.ca)
	cred := nixspace.SourceCredentials{Token: secret}
	got, err := f.Fetch(t.Context(), s.source("mine"), cred, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range unpacked(t, f, got.Workspace) {
		if strings.Contains(string(file.Data), secret) {
			t.Errorf("%s has the token", name)
		}
	}
	for what, c := range map[string]nixspace.SourceCredentials{"none": {}, "a wrong one": {Token: secret + "x"}, "a wrong user": {User: "me", Token: secret}} {
		_, err := f.Fetch(t.Context(), s.source("mine"), c, nil)
		if nixspace.ErrorCode(err) != "source_unauthorized" || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := f.Fetch(t.Context(), s.source("mine"), nixspace.SourceCredentials{Token: "a\nb"}, nil); nixspace.ErrorCode(err) != "source_credentials" {
		t.Errorf("a token of two lines: got %v", err)
	}
}

// TestTokenStays looks for the token where other users of the machine could see it:
// in the arguments of every process that git is.
func TestTokenStays(t *testing.T) {
	s := newForge(t)
	s.repository("mine", map[string]string{"a": strings.Repeat("content\n", 1000)})
	s.users["mine"] = "x-access-token:" + secret
	f := fetcher(t, s.ca)
	stop := make(chan struct{})
	var seen []string
	var looked sync.WaitGroup
	looked.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, l := range lines {
				if b, err := os.ReadFile(l); err == nil && strings.Contains(string(b), secret) {
					seen = append(seen, string(b))
				}
			}
		}
	})
	_, err := f.Fetch(t.Context(), s.source("mine"), nixspace.SourceCredentials{Token: secret}, nil)
	close(stop)
	looked.Wait()
	if err != nil {
		t.Error(err)
	}
	if len(seen) > 0 {
		t.Errorf("the token was an argument: %q", seen)
	}
}

// TestTokenIsNotForOthers fetches from a server that sends on to another one, which
// asks for credentials as well.
func TestTokenIsNotForOthers(t *testing.T) {
	other := newForge(t)
	other.repository("mine", map[string]string{"a": "1"})
	other.users["mine"] = "x-access-token:" + secret
	front := redirect(t, other.URL)
	f := fetcher(t, both(t, front.ca, other.ca))
	_, err := f.Fetch(t.Context(), nixspace.CodeSource{Kind: nixspace.SourceGit, URL: front.URL + "/mine"}, nixspace.SourceCredentials{Token: secret}, nil)
	if nixspace.ErrorCode(err) != "source_unauthorized" {
		t.Errorf("got %v", err)
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	if len(other.asked) == 0 {
		t.Error("nobody was sent on")
	}
	for _, a := range other.asked {
		if a != "" {
			t.Errorf("the other server was given %q", a)
		}
	}
}

func TestOpenCleansUp(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "fetch-123", "repository")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(left)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
