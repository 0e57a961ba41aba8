package fetch

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/dial"
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

// TestPrivateAddresses asks, in every way, for what only the server may reach.
func TestPrivateAddresses(t *testing.T) {
	s := newForge(t)
	s.repository("shop", map[string]string{"a": "1"})
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	f := fetcher(t, s.ca, func(c *Config) { c.Policy = dial.Policy{} })
	for _, address := range []string{
		s.URL + "/shop", "https://localhost:" + port + "/shop", "https://127.1:" + port + "/shop", "https://0x7f.1:" + port + "/shop",
		"https://2130706433:" + port + "/shop", "https://[::ffff:127.0.0.1]:" + port + "/shop", "https://0:" + port + "/shop",
		"https://169.254.169.254/latest/meta-data", "https://10.0.0.1/x",
		"ssh://git@127.0.0.1:" + port + "/shop", "ssh://git@0x7f.1:" + port + "/shop", "ssh://git@localhost:" + port + "/shop",
	} {
		for _, kind := range []nixspace.SourceKind{nixspace.SourceGit, nixspace.SourceFile} {
			if kind == nixspace.SourceFile && strings.HasPrefix(address, "ssh") {
				continue
			}
			_, err := f.Fetch(t.Context(), nixspace.CodeSource{Kind: kind, URL: address}, nixspace.SourceCredentials{}, nil)
			if nixspace.ErrorCode(err) != dial.CodeRefused {
				t.Errorf("%s as %s: got %v", address, kind, err)
			}
		}
	}
	if s.mu.Lock(); len(s.asked) > 0 {
		t.Errorf("the server was reached %d times", len(s.asked))
	}
	s.mu.Unlock()
	for _, address := range []string{"http://example.org/a", "ext::sh -c touch% x", "file:///etc", "/etc", "--upload-pack=touch"} {
		_, err := f.Fetch(t.Context(), nixspace.CodeSource{Kind: nixspace.SourceGit, URL: address}, nixspace.SourceCredentials{}, nil)
		if k := nixspace.ErrorKind(err); k == nixspace.KindInternal || err == nil {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

// TestRedirectToPrivate fetches from a server that may be reached, and that sends
// on to one that may not.
func TestRedirectToPrivate(t *testing.T) {
	s := newForge(t)
	s.repository("shop", map[string]string{"a": "1"})
	front := redirect(t, strings.Replace(s.URL, "127.0.0.1", "127.0.0.2", 1))
	f := fetcher(t, both(t, front.ca, s.ca), func(c *Config) { c.Policy = dial.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}} })
	for _, kind := range []nixspace.SourceKind{nixspace.SourceGit, nixspace.SourceFile} {
		_, err := f.Fetch(t.Context(), nixspace.CodeSource{Kind: kind, URL: front.URL + "/shop"}, nixspace.SourceCredentials{}, nil)
		if nixspace.ErrorCode(err) != dial.CodeRefused {
			t.Errorf("%s: got %v", kind, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) > 0 {
		t.Errorf("the server was reached %d times", len(s.asked))
	}
}

func TestTooLarge(t *testing.T) {
	s := newForge(t)
	s.repository("large", map[string]string{"a": strings.Repeat("x", 4<<20)}) // compresses well, and is a bomb
	f := fetcher(t, s.ca, func(c *Config) { c.Limits = nixspace.CodeLimits{Bytes: 1 << 20} })
	if _, err := f.Fetch(t.Context(), s.source("large"), nixspace.SourceCredentials{}, nil); nixspace.ErrorKind(err) != nixspace.KindLimit {
		t.Errorf("got %v", err)
	}
	f = fetcher(t, s.ca, func(c *Config) { c.Limits = nixspace.CodeLimits{Files: 3} })
	s.repository("many", map[string]string{"a": "", "b": "", "c": "", "d": ""})
	if _, err := f.Fetch(t.Context(), s.source("many"), nixspace.SourceCredentials{}, nil); nixspace.ErrorCode(err) != "workspace_too_large" {
		t.Errorf("got %v", err)
	}
}

func TestBrokenOff(t *testing.T) {
	s := newForge(t)
	s.repository("shop", map[string]string{"a": "1"})
	f := fetcher(t, s.ca)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := f.Fetch(ctx, s.source("shop"), nixspace.SourceCredentials{}, func(nixspace.Progress) { cancel() })
	if nixspace.ErrorKind(err) != nixspace.KindCanceled {
		t.Errorf("got %v", err)
	}
}

// TestHostileRepository fetches what git itself would not make.
func TestHostileRepository(t *testing.T) {
	s := newForge(t)
	s.repository("evil", map[string]string{"a": "1"})
	blob := s.run("evil", "rev-parse", "HEAD:a")
	for name, entry := range map[string]string{"a .git folder": ".git", "a way out": ".."} {
		t.Run(name, func(t *testing.T) {
			inner := hashTree(t, s, "evil", "100755 blob "+blob+"\tconfig\n")
			tree := hashTree(t, s, "evil", "040000 tree "+inner+"\t"+entry+"\n")
			commit := s.run("evil", "commit-tree", "-m", "evil", tree)
			s.run("evil", "update-ref", "refs/heads/main", commit)
			f := fetcher(t, s.ca)
			_, err := f.Fetch(t.Context(), s.source("evil"), nixspace.SourceCredentials{}, nil)
			if nixspace.ErrorCode(err) != "source_damaged" {
				t.Errorf("got %v", err)
			}
		})
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
