package fetch

import (
	"bytes"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/dial"
	"github.com/nixspace/nixspace/state/workspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// forge is a real server of repositories: git's own, behind HTTPS on loopback.
type forge struct {
	*httptest.Server
	t     *testing.T
	root  string // of the repositories
	ca    string
	mu    sync.Mutex
	users map[string]string // repository → "user:token" that opens it
	asked []string          // Authorization of every request
}

func newForge(t *testing.T) *forge {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not here")
	}
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	s := &forge{t: t, root: filepath.Join(t.TempDir(), "repositories"), users: map[string]string{}}
	backend := &cgi.Handler{
		Path:       filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env:        []string{"GIT_PROJECT_ROOT=" + s.root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
		InheritEnv: []string{"PATH", "HOME"}, Stderr: &bytes.Buffer{},
	}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repo, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		s.mu.Lock()
		want := s.users[repo]
		s.asked = append(s.asked, r.Header.Get("Authorization"))
		s.mu.Unlock()
		user, token, _ := r.BasicAuth()
		if want != "" && user+":"+token != want {
			w.Header().Set("WWW-Authenticate", `Basic realm="forge"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		if p := r.Header.Get("Git-Protocol"); p != "" {
			h := *backend
			h.Env = append(h.Env[:len(h.Env):len(h.Env)], "GIT_PROTOCOL="+p)
			h.ServeHTTP(w, r)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	s.ca = certificate(t, s.Server)
	return s
}

// certificate writes a server's certificate to where everybody can read it.
func certificate(t *testing.T, s *httptest.Server) string {
	path := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, path)
	return path
}

// open lets everybody get to a path: git runs as somebody else where tests are
// root's.
func open(t *testing.T, path string) {
	for dir := filepath.Dir(path); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs git in the repository of that name.
func (s *forge) run(repo string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = filepath.Join(s.root, repo)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "HOME="+s.t.TempDir(),
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// repository makes one, with a first commit on main.
func (s *forge) repository(name string, files map[string]string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Join(s.root, name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.run(name, "init", "-q", "-b", "main")
	s.commit(name, "first", files)
}

func (s *forge) commit(repo, message string, files map[string]string) string {
	s.t.Helper()
	for name, content := range files {
		path := filepath.Join(s.root, repo, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		_ = os.Remove(path)
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	s.run(repo, "add", "-A", "-f")
	s.run(repo, "commit", "-q", "--allow-empty", "-m", message)
	return s.run(repo, "rev-parse", "HEAD")
}

func (s *forge) source(repo string) nixspace.CodeSource {
	return nixspace.CodeSource{Kind: nixspace.SourceGit, URL: s.URL + "/" + repo}
}

// fetcher returns one that may reach loopback, unless change says otherwise.
func fetcher(t *testing.T, ca string, change ...func(*Config)) *Fetcher {
	t.Helper()
	dir := t.TempDir()
	cfg := Config{Dir: filepath.Join(dir, "fetch"), Policy: dial.Policy{Private: true}, CAFile: ca}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if cfg.Store, err = workspace.Open(filepath.Join(dir, "workspaces"), cfg.Limits); err != nil {
		t.Fatal(err)
	}
	f, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	open(t, filepath.Join(cfg.Dir, "x"))
	t.Cleanup(func() { // a fetch leaves nothing behind
		entries, err := os.ReadDir(cfg.Dir)
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			if e.Name() != "known_hosts" {
				t.Errorf("%s is left", e.Name())
			}
		}
	})
	return f
}

// files returns the stored files that are not git's, links as "-> target".
func files(t *testing.T, f *Fetcher, w nixspace.Workspace) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, file := range unpacked(t, f, w) {
		if strings.HasPrefix(name, ".git/") || file.Mode.IsDir() {
			continue
		}
		out[name] = string(file.Data)
		if file.Mode&fs.ModeSymlink != 0 {
			out[name] = "-> " + string(file.Data)
		}
	}
	return out
}

func unpacked(t *testing.T, f *Fetcher, w nixspace.Workspace) fstest.MapFS {
	t.Helper()
	var b bytes.Buffer
	if _, err := f.cfg.Store.WriteTar(t.Context(), w.Digest, &b); err != nil {
		t.Fatal(err)
	}
	return untarMap(t, &b)
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("got %s\nwant %s", g, w)
	}
}

// redirecting is a server that sends everybody on to another one.
type redirecting struct {
	*httptest.Server
	ca string
}

func redirect(t *testing.T, to string) redirecting {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to+r.URL.RequestURI(), http.StatusFound)
	}))
	t.Cleanup(s.Close)
	return redirecting{s, certificate(t, s)}
}

// both returns a file with two certificates.
func both(t *testing.T, a, b string) string {
	t.Helper()
	x, err1 := os.ReadFile(a)
	y, err2 := os.ReadFile(b)
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := errors.Join(err1, err2, os.WriteFile(path, append(x, y...), 0o644)); err != nil {
		t.Fatal(err)
	}
	open(t, path)
	return path
}

// hashTree writes a tree that git mktree would refuse.
func hashTree(t *testing.T, s *forge, repo, lines string) string {
	t.Helper()
	var raw bytes.Buffer
	for line := range strings.Lines(lines) {
		meta, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		f := strings.Fields(meta)
		object, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&raw, "%s %s\x00%s", strings.TrimLeft(f[0], "0"), name, object)
	}
	file := filepath.Join(t.TempDir(), "tree")
	if err := os.WriteFile(file, raw.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return s.run(repo, "hash-object", "--literally", "-t", "tree", "-w", file)
}
