package nix_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/daemon"
	"github.com/nixspace/nixspace/nix/nixtest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(serverVar); dir != "" {
		serve(dir)
	}
	os.Exit(nixtest.MainAll(m))
}

// noLeaks checks, after everything that the test cleans up, that no goroutine is
// left of it.
func noLeaks(t *testing.T) {
	now := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, now) })
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// open returns an engine with a daemon of its own.
func open(t testing.TB, change ...func(*nix.Config)) *nix.Engine {
	t.Helper()
	cfg := nix.Config{StateDir: t.TempDir(), RuntimeDir: filepath.Dir(nixtest.Socket(t)), Settings: nixtest.Settings(), Log: logger(t)}
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), nixtest.Patience)
	defer cancel()
	e, err := nix.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestOpenOwnDaemon(t *testing.T) {
	noLeaks(t)
	e := open(t)
	if !e.OwnDaemon() || !strings.HasSuffix(nixtest.Nix(t, "nix", "--version"), " "+e.Version()) {
		t.Errorf("own daemon %v, version %s", e.OwnDaemon(), e.Version())
	}
	out, err := e.Run(t.Context(), nix.Command{Args: []string{"eval", "--raw", "--expr", `"${builtins.toFile "x" "y"}"`}})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := e.Store().IsValidPath(t.Context(), string(out)); !ok || err != nil {
		t.Errorf("%s is not in the store: %v", out, err)
	}
}

func TestOpenExistingDaemon(t *testing.T) {
	noLeaks(t)
	socket := nixtest.StartDaemon(t)
	e := open(t, func(c *nix.Config) { c.Socket = socket })
	if e.OwnDaemon() {
		t.Error("it runs a daemon of its own")
	}
}

// A daemon whose configuration is weaker than ours is held to ours where it trusts
// us, and refused otherwise.
func TestOpenUnsandboxedDaemon(t *testing.T) {
	socket := nixtest.StartDaemon(t, "sandbox = false")
	open(t, func(c *nix.Config) { c.Socket = socket })
	socket = nixtest.StartDaemon(t, "sandbox = false", "trusted-users =")
	_, err := nix.Open(t.Context(), nix.Config{StateDir: t.TempDir(), Socket: socket, Log: logger(t)})
	if code := nixspace.ErrorCode(err); code != "nix_unsandboxed" {
		t.Errorf("got %v", err)
	}
}

func TestOpenWithoutNix(t *testing.T) {
	for _, bin := range []string{"/nowhere/nix", "/bin/true"} {
		_, err := nix.Open(t.Context(), nix.Config{StateDir: t.TempDir(), NixBin: bin})
		var e *nixspace.Error
		if !errors.As(err, &e) || e.Code != "nix_missing" || e.Hint == "" {
			t.Errorf("%s: got %v", bin, err)
		}
	}
}

// What a daemon that does not start says reaches whoever opens the engine.
func TestOpenBrokenDaemon(t *testing.T) {
	noLeaks(t)
	_, err := nix.Open(t.Context(), nix.Config{
		StateDir: t.TempDir(), RuntimeDir: filepath.Dir(nixtest.Socket(t)), Log: logger(t),
		Settings: map[string]string{"build-users-group": "no-such-group-at-all"},
	})
	if code := nixspace.ErrorCode(err); code != "nix_daemon" && code != "nix_preflight" || !strings.Contains(err.Error(), "no-such-group-at-all") {
		t.Errorf("got %s: %v", code, err)
	}
}

func TestCommandFails(t *testing.T) {
	e := open(t)
	_, err := e.Run(t.Context(), nix.Command{Args: []string{"eval", "--expr", `throw "so it is"`}})
	var ce *nix.CommandError
	if !errors.As(err, &ce) || !strings.Contains(ce.Error(), "so it is") || !strings.Contains(ce.Error(), "run nix eval") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = e.Run(ctx, nix.Command{Args: []string{"eval", "--expr", `let f = x: f (x + 1); in builtins.foldl' (a: b: b) 0 (builtins.genList (x: builtins.foldl' (a: b: b) 0 (builtins.genList (y: y) 1000000)) 1000000)`}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A daemon that dies is replaced; whoever asks meanwhile waits and is answered.
func TestDaemonDies(t *testing.T) {
	noLeaks(t)
	e := open(t)
	pkgs := packages(t)
	for i := range 3 {
		pid := e.DaemonPID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		// New connections, besides the idle ones that outlive the daemon.
		c := daemon.NewClient(daemon.Config{Socket: e.Socket()})
		info, err := c.Info(t.Context())
		_ = c.Close()
		if err != nil || info.Version != e.Version() {
			t.Fatalf("after the daemon died: %+v, %v", info, err)
		}
		env, err := e.Instantiate(t.Context(), fmt.Sprintf("after-%d", i), pkgs[:2])
		if err == nil {
			err = e.Realise(t.Context(), nil, env.DrvPath)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// After Close no daemon is left, and a new engine finds nothing in its way.
func TestCloseAndOpenAgain(t *testing.T) {
	noLeaks(t)
	state, run := t.TempDir(), filepath.Dir(nixtest.Socket(t))
	for range 2 {
		e, err := nix.Open(t.Context(), nix.Config{StateDir: state, RuntimeDir: run, Settings: nixtest.Settings(), Log: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		pid := e.DaemonPID()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("the daemon still runs: %v", err)
		}
	}
	// A socket that a killed server left behind.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(run, "nix.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	open(t, func(c *nix.Config) { c.StateDir, c.RuntimeDir = state, run })
}

// serverVar makes the test binary a server that has an engine in a directory.
const serverVar = "NIXSPACE_TEST_NIX_SERVER"

// serve opens an engine, prints its daemon's process, and stays until it is killed.
func serve(dir string) {
	e, err := nix.Open(context.Background(), nix.Config{StateDir: dir, RuntimeDir: dir, Settings: nixtest.Settings()})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(e.DaemonPID())
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// A server that is killed takes its daemon with it, and the next one starts as if
// nothing had happened.
func TestServerKilled(t *testing.T) {
	dir := filepath.Dir(nixtest.Socket(t))
	for range 2 {
		server := exec.CommandContext(t.Context(), os.Args[0])
		server.Env = append(os.Environ(), serverVar+"="+dir)
		server.Stderr = t.Output()
		stdin, err := server.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		stdout, err := server.StdoutPipe()
		if err == nil {
			err = server.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("the server says %q", line)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = server.Wait()
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(nixtest.Patience.Milliseconds()))
		if n != 1 {
			t.Errorf("the daemon outlives its server: %v", err)
		}
		_ = unix.Close(fd)
	}
}
