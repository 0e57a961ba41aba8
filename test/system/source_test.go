//go:build system

package system

import (
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// serveGit serves a repository named shop by a real server of git, on loopback, and
// returns its address and what runs git in it.
func serveGit(t *testing.T) (address string, git func(args ...string) string) {
	t.Helper()
	repos := t.TempDir()
	git = func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = filepath.Join(repos, "shop")
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.MkdirAll(filepath.Join(repos, "shop"), 0o755); err != nil {
		t.Fatal(err)
	}
	git("init", "-q", "-b", "main")
	backend := &cgi.Handler{Path: filepath.Join(git("--exec-path"), "git-http-backend"), Env: []string{
		"GIT_PROJECT_ROOT=" + repos, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}}
	forge := httptest.NewServer(backend)
	t.Cleanup(forge.Close)
	return forge.URL + "/shop", git
}

// commitFiles writes files into the repository that git works in, and commits them;
// an empty text removes a file. It returns the commit.
func commitFiles(t *testing.T, git func(...string) string, message string, files map[string]string) string {
	t.Helper()
	dir := git("rev-parse", "--show-toplevel")
	for name, text := range files {
		at := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		if err == nil && text == "" {
			err = os.Remove(at)
		} else if err == nil {
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	git("add", "-A", ".")
	git("commit", "-q", "-m", message)
	return git("rev-parse", "HEAD")
}

// TestRepository makes a project of a repository that a real server of git serves,
// and uses its history in a session. A server that is not told to reach this
// machine does not.
func TestRepository(t *testing.T) {
	forge, git := serveGit(t)
	for _, message := range []string{"first", "second"} {
		commitFiles(t, git, message, map[string]string{".nvmrc": "22\n# " + message + "\n"})
	}
	state := stateDir(t)
	s := up(t, state, "--no-quickstart")
	for _, address := range []string{forge, strings.Replace(forge, "http:", "https:", 1)} {
		if r := cli(t, state, "create", "shop", address); r.code == 0 || !strings.Contains(r.stderr, "refused") {
			t.Errorf("%s: exit code %d\n%s", address, r.code, r.stderr)
		}
	}
	s.interrupt()
	up(t, state, "--no-quickstart", "--allow-network", "127.0.0.1")
	out := ok(t, state, "create", "shop", forge)
	if !strings.Contains(out, ".nvmrc, line 1") {
		t.Errorf("create says\n%s", out)
	}
	ok(t, state, "start", "shop")
	if out := ok(t, state, "exec", "shop/1", "--", "sh", "-c", "git status --porcelain --branch && git log --format=%s && git diff --stat HEAD~1 | tail -n 1"); !strings.Contains(out, "## main...origin/main\nsecond\nfirst\n") || !strings.Contains(out, "1 file changed") {
		t.Errorf("git says\n%s", out)
	}
}
