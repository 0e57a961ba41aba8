package gitaccess_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/gitaccess"
	"github.com/nixspace/nixspace/app/helper/helpertest"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
	"github.com/nixspace/nixspace/jobs"
	"github.com/nixspace/nixspace/state/postgres"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
	"github.com/nixspace/nixspace/vm/guest"
	"github.com/nixspace/nixspace/vm/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		helpertest.Remove()
		os.Exit(code)
	}))
}

const token = "let-me-in-4711"

// machine is one with the agent of real ones, in this process.
type machine struct {
	nixspace.Machine // for what no test needs
	client           *wire.Client
	root             string
}

func (m *machine) Exec(ctx context.Context, c nixspace.Command) (nixspace.Process, error) {
	return m.client.Exec(ctx, c)
}

func (m *machine) WriteFiles(ctx context.Context, dir string, archive io.Reader, _ bool) (nixspace.FilesWritten, error) {
	return m.client.Put(ctx, wire.PutRequest{Dir: dir}, archive)
}

func (m *machine) ReadFiles(ctx context.Context, path string) (io.ReadCloser, error) {
	return m.client.Get(ctx, wire.GetRequest{Path: path})
}

func (m *machine) FileInfo(ctx context.Context, path string) (nixspace.FileInfo, error) {
	return m.client.Stat(ctx, path)
}

func (m *machine) ListFiles(ctx context.Context, dir string) ([]nixspace.FileInfo, error) {
	return m.client.List(ctx, dir)
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	root := t.TempDir()
	g, err := guest.NewProcess(guest.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(root, "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); g.Serve(ctx, l.Accept) }()
	t.Cleanup(func() { cancel(); l.Close(); <-served; g.Close() })
	return &machine{root: root, client: wire.NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", l.Addr().String())
	})}
}

// run runs a command with the variables that were lent.
func (m *machine) run(t *testing.T, env map[string]string, argv ...string) (string, int) {
	t.Helper()
	all := map[string]string{"GIT_TERMINAL_PROMPT": "0", "HOME": m.root}
	for k, v := range env {
		all[k] = v
	}
	p, err := m.Exec(t.Context(), nixspace.Command{Argv: argv, Env: all})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_ = p.Stdin().Close()
	var out, errs bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(&errs, p.Stderr()) })
	_, _ = io.Copy(&out, p.Stdout())
	reading.Wait()
	code, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return out.String() + errs.String(), code
}

// forge serves one private repository over https. It returns its host and the file
// with its certificate.
func forge(t *testing.T) (host, ca string) {
	t.Helper()
	dir := t.TempDir()
	repo := filepath.Join(dir, "shop.git")
	for _, args := range [][]string{{"init", "-q", "--bare", repo}, {"-C", repo, "config", "http.receivepack", "true"}} {
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"), Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ada" || password != token {
			w.Header().Set("WWW-Authenticate", `Basic realm="forge"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(s.URL, "https://"), ca
}

type fixture struct {
	*gitaccess.UseCases
	ctx   context.Context // of ada
	other context.Context // of eve
	log   *bytes.Buffer
	db    *postgres.DB
}

func start(t *testing.T) *fixture {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	helpertest.Use(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	db, err := postgres.Open(ctx, postgrestest.URL(t, postgres.Migrate, jobs.Migrate), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	f := &fixture{log: &bytes.Buffer{}, db: db}
	r, tasks := records.New(db), work.NewTasks()
	t.Cleanup(tasks.Close)
	f.UseCases = gitaccess.New(gitaccess.Config{Records: r, Key: bytes.Repeat([]byte("k"), 32), Tasks: tasks, Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	for name, to := range map[string]*context.Context{"ada": &f.ctx, "eve": &f.other} {
		actor, err := r.Owner(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		*to = nixspace.WithActor(ctx, actor)
	}
	return f
}

func TestGitInASession(t *testing.T) {
	f := start(t)
	host, ca := forge(t)
	m := newMachine(t)
	session := nixspace.NewID()
	address := "https://" + host + "/shop.git"
	trust := map[string]string{"GIT_SSL_CAINFO": ca}
	merged := func(env map[string]string) map[string]string {
		all := map[string]string{}
		for _, set := range []map[string]string{trust, env} {
			for k, v := range set {
				all[k] = v
			}
		}
		return all
	}

	if env, release := f.Lend(f.ctx, session, m); len(env) > 0 {
		t.Errorf("who told nothing lends %v", env)
		release()
	}
	if _, err := f.SetGitIdentity(f.ctx, nixspace.GitIdentity{Name: `Ada "A" Lovelace`, Email: "ada@example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.SetGitCredential(f.ctx, "https://"+strings.ToUpper(host), "ada", token); err != nil {
		t.Fatal(err)
	}
	env, release := f.Lend(f.ctx, session, m)
	defer release()

	// It clones, commits by the right name, and pushes.
	out, code := m.run(t, merged(env), "sh", "-ec", "git clone -q "+address+" shop; cd shop; echo x > a; git add a; git commit -q -m one; git push -q origin HEAD:main; git log -1 --format='%an <%ae>'")
	if code != 0 || !strings.Contains(out, `Ada "A" Lovelace <ada@example.org>`) {
		t.Fatalf("%d: %s", code, out)
	}
	if out, code := m.run(t, merged(env), "git", "ls-remote", address); code != 0 || !strings.Contains(out, "refs/heads/main") {
		t.Fatalf("%d: %s", code, out)
	}
	// What a repository says itself goes first.
	if out, _ := m.run(t, env, "sh", "-ec", "cd shop; git config user.name Other; git commit -q --allow-empty -m two; git log -1 --format=%an"); strings.TrimSpace(out) != "Other" {
		t.Errorf("the author is %q", out)
	}
	// The token is in no file of the machine.
	for _, dir := range append(glob(t, "/tmp/.nixspace-git-*"), m.root) {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(p)
			if bytes.Contains(b, []byte(token)) {
				t.Errorf("%s has the token in it", p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(f.log.String(), token) {
		t.Error("the log has the token in it")
	}
	s, err := f.GitSettings(f.ctx)
	if err != nil || len(s.Credentials) != 1 || s.Credentials[0].Host != host || s.Credentials[0].Sealed != nil || s.Credentials[0].LastUsedAt.IsZero() {
		t.Errorf("%+v, %v", s, err)
	}

	// Nobody else's, and of no other host.
	if env, release := f.Lend(f.other, session, m); len(env) > 0 {
		t.Errorf("eve lends %v", env)
		release()
	}
	ask := func(question string) string {
		out, _ := m.run(t, env, "sh", "-c", "printf '"+question+"\\n\\n' | git credential fill 2>&1")
		return out
	}
	if out := ask("protocol=https\nhost=" + host); !strings.Contains(out, "password="+token) {
		t.Errorf("git gets %q", out)
	}
	for _, q := range []string{"protocol=https\nhost=evil.example", "protocol=http\nhost=" + host, "protocol=https\nhost=" + host + ".evil.example", "protocol=https\nhost=sub." + host} {
		if out := ask(q); strings.Contains(out, token) {
			t.Errorf("%q gets %q", q, out)
		}
	}
	// Also past the configuration, to the socket itself.
	socket := filepath.Join(filepath.Dir(env["GIT_CONFIG_SYSTEM"]), "socket")
	for _, q := range []string{`{"protocol":"https","host":"evil.example"}`, `{"protocol":"http","host":"` + host + `"}`, `{"protocol":"https","host":"` + host + `/../x"}`} {
		if got := raw(t, socket, q); strings.Contains(got, token) {
			t.Errorf("%s gets %q", q, got)
		}
	}

	// What is taken away is not lent any more.
	if _, err := f.RemoveGitCredential(f.ctx, host); err != nil {
		t.Fatal(err)
	}
	if out, code := m.run(t, merged(env), "git", "ls-remote", address); code == 0 {
		t.Errorf("git still gets in: %s", out)
	}
}

func TestWhatPeopleTell(t *testing.T) {
	f := start(t)
	for _, tt := range []struct{ host, token, code string }{
		{"git.example.org", "x", ""},
		{"https://git.example.org:443/a/b", "y", ""}, // takes the place of the first
		{"git.example.org:8443", "x", ""},
		{"http://git.example.org", "x", "git_host_invalid"},
		{"https://u:p@git.example.org", "x", "git_host_invalid"},
		{"", "x", "git_host_invalid"},
		{"a\"b", "x", "git_host_invalid"},
		{"git.example.org", "", "git_token_invalid"},
		{"git.example.org", "a\nb", "git_token_invalid"},
	} {
		if _, err := f.SetGitCredential(f.ctx, tt.host, "", tt.token); code(err) != tt.code {
			t.Errorf("%q, %q: %v", tt.host, tt.token, err)
		}
	}
	for _, tt := range []struct{ name, email, code string }{
		{"Ada", "ada@example.org", ""},
		{"", "ada@example.org", "git_name_invalid"},
		{"Ada\n[core]", "ada@example.org", "git_name_invalid"},
		{"Ada", "ada", "git_email_invalid"},
		{"Ada", "Ada <ada@example.org>", "git_email_invalid"},
	} {
		if _, err := f.SetGitIdentity(f.ctx, nixspace.GitIdentity{Name: tt.name, Email: tt.email}); code(err) != tt.code {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	s, err := f.GitSettings(f.ctx)
	if err != nil || len(s.Credentials) != 2 || s.Credentials[0].Host != "git.example.org" || s.Credentials[0].User != "x-access-token" || s.Identity.Name != "Ada" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := f.GitSettings(f.other); err != nil || len(s.Credentials) != 0 {
		t.Errorf("eve sees %+v, %v", s, err)
	}
	if _, err := f.RemoveGitCredential(f.other, "git.example.org"); nixspace.ErrorKind(err) != nixspace.KindNotFound {
		t.Errorf("eve: %v", err)
	}
	// Nobody who reads the database reads a token.
	var sealed []byte
	if err := f.db.Pool().QueryRow(f.ctx, "SELECT sealed FROM git_credentials WHERE host = 'git.example.org'").Scan(&sealed); err != nil || len(sealed) < 20 {
		t.Errorf("%q, %v", sealed, err)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// raw asks the helper's socket, as a program in the machine can.
func raw(t *testing.T, socket, question string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, question+"\n")
	b, _ := io.ReadAll(conn)
	return string(b)
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return nixspace.ErrorCode(err)
}
