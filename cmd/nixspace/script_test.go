package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/apitest"
	"github.com/nixspace/nixspace/api/auth"
	"github.com/nixspace/nixspace/api/preview"
	"github.com/nixspace/nixspace/api/sshd"
	"github.com/nixspace/nixspace/api/web"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/app/apptest"
	"github.com/nixspace/nixspace/cmd/nixspace/server"
	"github.com/nixspace/nixspace/internal/dial"
	"github.com/nixspace/nixspace/internal/statedir"
	"github.com/nixspace/nixspace/jobs"
	"github.com/nixspace/nixspace/nix/evalbox"
	"github.com/nixspace/nixspace/state/postgres"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
	"github.com/nixspace/nixspace/state/workspace"
	"github.com/nixspace/nixspace/vm/wire"
)

func TestMain(m *testing.M) {
	evalbox.Main()
	// The scripts run this test binary under the name nixspace.
	testscript.Main(m, map[string]func(){"nixspace": main})
}

// TestScript runs test/script: the whole command line, against a server over a
// real database. Its packages and machines are stand-ins; the machines run
// commands on this host.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../../test/script",
		Setup: func(e *testscript.Env) error {
			state := filepath.Join(e.WorkDir, ".state")
			s, err := startServer(t, state)
			if err != nil {
				return err
			}
			e.Values[serverKey{}] = s
			e.Defer(s.stop)
			e.Setenv("NIXSPACE_STATE", state)
			e.Setenv("SERVER_URL", s.file.URL)
			e.Setenv("SERVER_TOKEN", s.file.Token)
			e.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
			forge := serveGit(e.WorkDir)
			e.Defer(forge.Close)
			e.Setenv("FORGE", forge.URL)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":       exits,
			"interrupted": interrupted,
			"stopserver":  func(ts *testscript.TestScript, _ bool, _ []string) { ts.Value(serverKey{}).(*testServer).stop() },
			"failbuilds": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value(serverKey{}).(*testServer).packages.Fail(nixspace.Errorf(nixspace.KindBuild, "smoke_failed", "%s", args[0]))
			},
			"failmachines": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value(serverKey{}).(*testServer).machines.Fail(nixspace.Errorf(nixspace.KindLimit, "memory_short", "%s", args[0]))
			},
		},
	})
}

// serveGit serves the repositories in a folder, as forges do. Who asks for
// private must have the token let-me-in.
func serveGit(dir string) *httptest.Server {
	path, _ := exec.Command("git", "--exec-path").Output() // without git the scripts skip it
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"), Stderr: io.Discard,
		Env: []string{
			"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		},
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, token, _ := r.BasicAuth()
		if strings.HasPrefix(r.URL.Path, "/private/") && token != "let-me-in" {
			w.Header().Set("WWW-Authenticate", `Basic realm="forge"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
}

type serverKey struct{}

// exits runs a program and checks its exit code: exits CODE PROGRAM ARGUMENTS…
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT…]")
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("run %s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("%v: exit code %d, want %d", args[1:], got, want)
	}
}

// interrupted runs a program, interrupts it once its output has a text, and
// checks its exit code: interrupted CODE TEXT PROGRAM ARGUMENTS…
func interrupted(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || len(args) < 3 {
		ts.Fatalf("usage: interrupted CODE TEXT PROGRAM [ARGUMENT…]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[2], args[3:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "NIXSPACE_STATE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	if cmd.Path, err = lookIn(ts.Getenv("PATH"), args[2]); err != nil {
		ts.Fatalf("find %s: %v", args[2], err)
	}
	cmd.Err = nil
	var errs bytes.Buffer
	cmd.Stderr = &errs
	pipe, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	var out bytes.Buffer
	sent := false
	buf := make([]byte, 4096)
	for {
		n, err := pipe.Read(buf)
		out.Write(buf[:n])
		if !sent && strings.Contains(out.String(), args[1]) {
			sent = true
			ts.Check(cmd.Process.Signal(os.Interrupt))
		}
		if err != nil {
			break
		}
	}
	_ = cmd.Wait()
	ts.Logf("[stdout]\n%s[stderr]\n%s", out.String(), errs.String())
	fmt.Fprint(ts.Stdout(), out.String())
	fmt.Fprint(ts.Stderr(), errs.String())
	if got := cmd.ProcessState.ExitCode(); !sent || got != want {
		ts.Fatalf("%v: interrupted %v, exit code %d, want %d", args[2:], sent, got, want)
	}
}

// lookIn finds a program in a list of folders.
func lookIn(path, name string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", exec.ErrNotFound
}

// testServer is a server in this process.
type testServer struct {
	file     statedir.Server
	packages *apptest.Packages
	machines *apptest.Machines
	agents   agents
	stop     func()
}

func startServer(t *testing.T, state string) (*testServer, error) {
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	dir, err := statedir.Open(state)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	db, err := postgres.Open(ctx, postgrestest.URL(t, postgres.Migrate, jobs.Migrate), log)
	if err != nil {
		cancel()
		return nil, err
	}
	ws, err := workspace.Open(filepath.Join(state, "workspaces"), nixspace.CodeLimits{})
	if err != nil {
		cancel()
		return nil, err
	}
	queue, err := jobs.New(db.Pool(), jobs.Config{Server: "test", Builds: 2, Log: log})
	if err != nil {
		cancel()
		return nil, err
	}
	s := &testServer{packages: apptest.NewPackages(), machines: apptest.NewMachines()}
	parts, err := server.Sources(filepath.Join(state, "fetch"), nixspace.CodeLimits{}, dial.Policy{Private: true}, ws, log)
	if err != nil {
		cancel()
		return nil, err
	}
	parts.Jobs = queue
	a := app.New(app.Config{
		Secrets: bytes.Repeat([]byte("s"), 32),
		Sources: parts, Store: db, Packages: s.packages, Machines: hostMachines{s.machines, filepath.Join(state, "sessions"), &s.agents},
		Workspaces: ws, Jobs: queue, Prebuilds: queue, Experiments: queue, Log: log,
	})
	owner, err := a.Owner(ctx, "owner")
	if err != nil {
		cancel()
		return nil, err
	}
	token := auth.RandomToken()
	authenticator, err := auth.NewToken(token, owner)
	if err != nil {
		cancel()
		return nil, err
	}
	if err := queue.Start(ctx, a); err != nil {
		cancel()
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return nil, err
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Errorf("run the use cases: %v", err)
		}
	})
	running.Go(func() {
		previews := preview.New(preview.Config{App: a, Auth: authenticator, Log: log, Key: []byte(strings.Repeat("k", 32))})
		defer previews.Close()
		secureShell, err := sshd.New([]byte(strings.Repeat("k", 32)), log)
		if err != nil {
			t.Errorf("serve SSH: %v", err)
		}
		h := web.New(web.Config{App: a, Auth: authenticator, Log: log, Version: "test", Previews: previews, SSH: secureShell})
		if err := h.Serve(ctx, ln, nil); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	s.file = statedir.Server{URL: "http://" + ln.Addr().String(), Token: token, PID: os.Getpid()}
	s.stop = sync.OnceFunc(func() {
		stop, done := context.WithTimeout(context.Background(), time.Minute)
		defer done()
		if err := queue.Stop(stop); err != nil {
			t.Errorf("stop the queue: %v", err)
		}
		cancel()
		running.Wait()
		s.agents.close()
		db.Close()
		if err := dir.Close(); err != nil {
			t.Errorf("close the state directory: %v", err)
		}
	})
	return s, dir.Announce(s.file)
}

// hostMachines are stand-ins whose commands run on this host, each machine in a
// folder of its own.
type hostMachines struct {
	*apptest.Machines
	dir    string
	agents *agents
}

func (h hostMachines) Start(ctx context.Context, spec nixspace.MachineSpec, progress nixspace.ProgressFunc) (nixspace.Machine, error) {
	m, err := h.Machines.Start(ctx, spec, progress)
	if err != nil {
		return nil, err
	}
	return h.wrap(m, spec.SessionID)
}

func (h hostMachines) Attach(ctx context.Context, session nixspace.ID) (nixspace.Machine, error) {
	m, err := h.Machines.Attach(ctx, session)
	if err != nil {
		return nil, err
	}
	return h.wrap(m, session)
}

func (h hostMachines) wrap(m nixspace.Machine, session nixspace.ID) (nixspace.Machine, error) {
	dir := filepath.Join(h.dir, string(session))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for a machine: %w", err)
	}
	agent, err := h.agents.in(dir)
	if err != nil {
		return nil, fmt.Errorf("start an agent: %w", err)
	}
	return hostMachine{m.(snapshotMachine), agent, apitest.Machine{Dir: dir, Env: machineEnv(h.Spec(session))}}, nil
}

type hostMachine struct {
	snapshotMachine
	agent *wire.Client
	host  apitest.Machine
}

type snapshotMachine interface {
	nixspace.Machine
	nixspace.Snapshotter
}

func (m hostMachine) Exec(ctx context.Context, c nixspace.Command) (nixspace.Process, error) {
	return m.host.Exec(ctx, c)
}

func (m hostMachine) ControlService(ctx context.Context, name string, action nixspace.ServiceAction) (nixspace.ServiceStatus, error) {
	return m.host.ControlService(ctx, name, action)
}

func (m hostMachine) Logs(ctx context.Context, service string, follow bool) (io.ReadCloser, error) {
	return m.host.Logs(ctx, service, follow)
}

// machineEnv are the variables of commands: the machine's name, its packages, and
// what its manifest says.
func machineEnv(spec nixspace.MachineSpec) []string {
	var packages []string
	for _, l := range spec.Layers {
		packages = append(packages, l.Name)
	}
	env := []string{"HOME=/nonexistent", "MACHINE=" + spec.Hostname, "PACKAGES=" + strings.Join(packages, " ")}
	for k, v := range spec.Env {
		env = append(env, k+"="+v)
	}
	return env
}
