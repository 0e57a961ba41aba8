package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/apptest"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/sessions"
	"github.com/nixspace/nixspace/internal/statedir"
	"github.com/nixspace/nixspace/internal/telemetry"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
	"github.com/nixspace/nixspace/state/workspace"
)

const limit = 3 * time.Minute

// childState makes the test binary run a server with that state directory and
// one session, until it is killed.
const childState = "SERVER_TEST_STATE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childState); dir != "" {
		cfg := config(dir, apptest.NewMachines())
		cfg.Ready = func(ctx context.Context, r Running) error {
			s, err := startSession(ctx, r)
			if err == nil {
				fmt.Println(s.ID)
			}
			return err
		}
		if err := Run(context.Background(), cfg); err != nil {
			fmt.Println("error:", err)
		}
		os.Exit(1)
	}
	// The client of the standard library keeps connections for later.
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func config(dir string, machines *apptest.Machines) Config {
	log, err := telemetry.NewLogger(os.Stderr, "text", "error")
	if err != nil {
		panic(err)
	}
	return Config{
		State: dir, Listen: "127.0.0.1:0", Version: "test", Log: log,
		Parts: Parts{
			Packages: func(context.Context, Site) (builds.Packages, Stop, error) { return apptest.NewPackages(), nil, nil },
			Machines: func(context.Context, Site) (nixspace.Machines, Stop, error) { return machines, nil, nil },
			Workspaces: func(_ context.Context, s Site) (environments.Workspaces, error) {
				return workspace.Open(s.Dir.Path("workspaces"), nixspace.CodeLimits{})
			},
		},
	}
}

func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nxs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "state")
}

// startSession makes a project and runs its environment.
func startSession(ctx context.Context, r Running) (*nixspace.Session, error) {
	ctx, cancel := context.WithTimeout(nixspace.WithActor(ctx, r.Owner), limit)
	defer cancel()
	_, env, _, err := r.App.CreateProject(ctx, environments.CreateProject{
		Slug: "shop", Manifest: "schema = 1\n[packages]\npostgresql = \"15\"\n", Message: "test",
	})
	if err != nil {
		return nil, err
	}
	s, err := r.App.StartSession(ctx, sessions.StartSession{Ref: string(env.ID)})
	if err != nil {
		return nil, err
	}
	watch, stop := context.WithCancel(ctx)
	defer stop()
	updates, err := r.App.WatchSession(watch, string(s.ID))
	if err != nil {
		return nil, err
	}
	for u := range updates {
		switch u.Session.Status {
		case nixspace.SessionRunning:
			return &u.Session, nil
		case nixspace.SessionFailed, nixspace.SessionStopped:
			return nil, fmt.Errorf("the session is %s: %s", u.Session.Status, u.Session.Reason)
		}
	}
	return nil, errors.New("the session did not start")
}

// run runs a server, calls ready once it answers, and stops it.
func run(t *testing.T, cfg Config, ready func(context.Context, Running)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cfg.Ready = func(ctx context.Context, r Running) error {
		defer cancel()
		if ready != nil {
			ready(ctx, r)
		}
		return nil
	}
	before := children(t)
	err := Run(ctx, cfg)
	if ctx.Err() == context.DeadlineExceeded {
		t.Error("it took too long")
	}
	nothingLeft(t, cfg.State, before)
	return err
}

// children returns the processes that this one started and that still are.
func children(t *testing.T) map[string]bool {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	pids := map[string]bool{}
	for _, task := range tasks {
		b, _ := os.ReadFile(task) // a thread may have ended
		for _, pid := range strings.Fields(string(b)) {
			pids[pid] = true
		}
	}
	return pids
}

// nothingLeft checks that no process is left that was not there before, and that
// the state directory can be used again.
func nothingLeft(t *testing.T, dir string, before map[string]bool) {
	t.Helper()
	for pid := range children(t) {
		if !before[pid] {
			t.Errorf("process %s is left", pid)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "server.json")); !os.IsNotExist(err) {
		t.Errorf("server.json is left (%v)", err)
	}
}

func get(t *testing.T, r Running, path, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || nixspace.ErrorCode(err) != code {
		t.Fatalf("error is %v, want code %s", err, code)
	}
	var e *nixspace.Error
	if errors.As(err, &e) && e.Hint == "" {
		t.Errorf("%v does not say what to do", err)
	}
}

func TestUpAndDown(t *testing.T) {
	dir := newDir(t)
	machines := apptest.NewMachines()
	var id nixspace.ID
	err := run(t, config(dir, machines), func(ctx context.Context, r Running) {
		if code, body := get(t, r, "/healthz", ""); code != http.StatusOK {
			t.Errorf("healthz is %d %s", code, body)
		}
		if code, body := get(t, r, "/readyz", ""); code != http.StatusOK || !strings.Contains(body, "postgresql") {
			t.Errorf("readyz is %d %s", code, body)
		}
		if code, _ := get(t, r, "/metrics", ""); code != http.StatusUnauthorized {
			t.Errorf("metrics without a token are %d", code)
		}
		s, err := statedir.FindServer(dir)
		if err != nil || s.URL != r.URL || s.PID != os.Getpid() {
			t.Errorf("server.json says %+v (%v)", s, err)
		}
		session, err := startSession(ctx, r)
		if err != nil {
			t.Error(err)
			return
		}
		id = session.ID
		if !machines.Running(id) {
			t.Error("no machine runs")
		}
		code, body := get(t, r, "/metrics", s.Token)
		for _, want := range []string{`nixspace_sessions{state="running"} 1`, `nixspace_builds{state="succeeded"} 1`, "nixspace_database_connections", `route="GET /healthz"`} {
			if code != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("metrics (%d) lack %s", code, want)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if machines.Running(id) {
		t.Error("the machine was not ended")
	}
	// What was stored is there again.
	err = run(t, config(dir, machines), func(ctx context.Context, r Running) {
		s, err := r.App.Session(nixspace.WithActor(ctx, r.Owner), string(id))
		if err != nil || s.Status != nixspace.SessionHibernated {
			t.Errorf("after a restart the session is %+v (%v)", s, err)
		}
		// What needs it resumes it.
		if _, err := r.App.Machine(nixspace.WithActor(ctx, r.Owner), string(id)); err != nil || machines.Spec(id).Generation != 2 || !machines.Spec(id).Resume {
			t.Errorf("it was started as %+v (%v)", machines.Spec(id), err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnExit(t *testing.T) {
	for _, test := range []struct {
		policy    OnExit
		broken    bool // machines cannot hibernate
		ephemeral bool
		want      nixspace.SessionStatus
	}{
		{"", false, false, nixspace.SessionHibernated},
		{OnExitHibernate, true, false, nixspace.SessionStopped},
		{OnExitHibernate, false, true, nixspace.SessionStopped},
		{OnExitStop, false, false, nixspace.SessionStopped},
		{OnExitKeep, false, false, nixspace.SessionRunning},
		{OnExitKeep, false, true, nixspace.SessionStopped},
	} {
		machines := apptest.NewMachines()
		cfg := config(newDir(t), machines)
		cfg.DatabaseURL, cfg.OnExit = postgrestest.URL(t), test.policy
		var id nixspace.ID
		err := run(t, cfg, func(ctx context.Context, r Running) {
			s, err := startSession(ctx, r)
			if err == nil && test.ephemeral {
				s, err = r.App.StartSession(nixspace.WithActor(ctx, r.Owner), sessions.StartSession{Ref: s.Environment, Ephemeral: true})
			}
			if err != nil {
				t.Error(err)
				return
			}
			id = s.ID
			if test.broken {
				machines.FailSnapshots(errors.New("broken"))
			}
			updates, err := r.App.WatchSession(nixspace.WithActor(ctx, r.Owner), string(id))
			if err != nil {
				t.Error(err)
				return
			}
			for u := range updates {
				if u.Session.Status == nixspace.SessionRunning {
					break
				}
			}
		})
		if err != nil {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		if running := machines.Running(id); running != (test.want == nixspace.SessionRunning) {
			t.Errorf("%+v: its machine runs: %t", test, running)
		}
		err = run(t, cfg, func(ctx context.Context, r Running) {
			if s, err := r.App.Session(nixspace.WithActor(ctx, r.Owner), string(id)); err != nil || s.Status != test.want {
				t.Errorf("%+v: got %+v (%v)", test, s, err)
			}
		})
		if err != nil {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// Where a collector is named, the requests of a server arrive there, by route.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	var sent []byte
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("the collector was asked for %s: %v", r.URL.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, b...)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
	cfg := config(newDir(t), apptest.NewMachines())
	cfg.DatabaseURL = postgrestest.URL(t)
	err := run(t, cfg, func(_ context.Context, r Running) {
		get(t, r, "/readyz", "")
		get(t, r, "/graphql", r.Token)
	})
	if err != nil {
		t.Fatal(err)
	}
	// A server that has stopped has sent all.
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"GET /readyz", "GET /graphql", "nixspace", "service.version"} {
		if !bytes.Contains(sent, []byte(want)) {
			t.Errorf("the collector did not hear of %q", want)
		}
	}
}

// A killed server leaves nothing that the next one does not put in order.
func TestKilled(t *testing.T) {
	dir := newDir(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childState+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	id := nixspace.ID(strings.TrimSpace(line))
	if err != nil || !id.Valid() {
		t.Fatalf("the child says %q (%v)", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	err = run(t, config(dir, apptest.NewMachines()), func(ctx context.Context, r Running) {
		s, err := r.App.Session(nixspace.WithActor(ctx, r.Owner), string(id))
		if err != nil || s.Status != nixspace.SessionFailed || s.Reason == "" {
			t.Errorf("the session whose machine is gone is %+v (%v)", s, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSecondServer(t *testing.T) {
	cfg := config(newDir(t), apptest.NewMachines())
	cfg.DatabaseURL = postgrestest.URL(t)
	err := run(t, cfg, func(ctx context.Context, _ Running) {
		wantCode(t, Run(ctx, cfg), "state_locked")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := config(newDir(t), apptest.NewMachines())
	cfg.Listen = ln.Addr().String()
	wantCode(t, run(t, cfg, nil), "port_in_use")
}

func TestListenInvalid(t *testing.T) {
	for _, addr := range []string{"nowhere", "192.0.2.1:80", "127.0.0.1:99999"} {
		cfg := config(newDir(t), apptest.NewMachines())
		cfg.Listen = addr
		wantCode(t, run(t, cfg, nil), "listen_invalid")
	}
}

func TestPostgresMissing(t *testing.T) {
	cfg := config(newDir(t), apptest.NewMachines())
	cfg.PGBin = t.TempDir()
	wantCode(t, run(t, cfg, nil), "postgres_missing")
}

func TestDatabaseUnavailable(t *testing.T) {
	cfg := config(newDir(t), apptest.NewMachines())
	cfg.DatabaseURL = "postgres://nobody@127.0.0.1:1/none?connect_timeout=5"
	wantCode(t, run(t, cfg, nil), "database_unavailable")
}

func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a small file system can only be mounted by root; run the tests as root to cover a full disk")
	}
	dir := newDir(t)
	if err := os.Mkdir(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=0711"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	wantCode(t, run(t, config(dir, apptest.NewMachines()), nil), "disk_full")
}

// What is done in the foreground may fail: the server then stops as ever.
func TestReadyFails(t *testing.T) {
	cfg := config(newDir(t), apptest.NewMachines())
	cfg.DatabaseURL = postgrestest.URL(t)
	want := errors.New("the quick start failed")
	cfg.Ready = func(context.Context, Running) error { return want }
	before := children(t)
	if err := Run(context.Background(), cfg); !errors.Is(err, want) {
		t.Errorf("Run returns %v", err)
	}
	nothingLeft(t, cfg.State, before)
}

// A part that cannot start undoes what started before it.
func TestPartFails(t *testing.T) {
	cfg := config(newDir(t), apptest.NewMachines())
	cfg.DatabaseURL = postgrestest.URL(t)
	want := nixspace.Errorf(nixspace.KindUnavailable, "qemu_missing", "QEMU is not installed").WithHint("install it")
	stopped := false
	cfg.Parts.Packages = func(context.Context, Site) (builds.Packages, Stop, error) {
		return apptest.NewPackages(), func(context.Context) error { stopped = true; return nil }, nil
	}
	cfg.Parts.Machines = func(context.Context, Site) (nixspace.Machines, Stop, error) { return nil, nil, want }
	var failed []string
	cfg.Report = func(s Step) {
		if s.Err != nil {
			failed = append(failed, s.Name)
		}
	}
	wantCode(t, run(t, cfg, nil), "qemu_missing")
	if !stopped {
		t.Error("the part before was not stopped")
	}
	if len(failed) != 1 || failed[0] != "machines" {
		t.Errorf("failed steps are %v", failed)
	}
}

// Force hurries a stop that takes its time.
func TestForce(t *testing.T) {
	cfg := config(newDir(t), apptest.NewMachines())
	cfg.DatabaseURL = postgrestest.URL(t)
	force := make(chan struct{})
	cfg.Force = force
	entered := make(chan struct{})
	cfg.Parts.Packages = func(context.Context, Site) (builds.Packages, Stop, error) {
		return apptest.NewPackages(), func(ctx context.Context) error {
			close(entered)
			<-ctx.Done()
			return nil
		}, nil
	}
	go func() {
		<-entered
		close(force)
	}()
	if err := run(t, cfg, nil); err != nil {
		t.Error(err)
	}
}

func TestPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:7070": false, "localhost:1": false, "[::1]:7070": false,
		"0.0.0.0:7070": true, ":7070": true, "[::]:80": true, "10.0.0.1:80": true, "example.org:80": true,
	} {
		if got := Public(addr); got != want {
			t.Errorf("Public(%q) = %v", addr, got)
		}
	}
}
