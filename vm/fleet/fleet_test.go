package fleet

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/runner"
	"github.com/nixspace/nixspace/vm/vmtest"
)

func TestMain(m *testing.M) {
	// The fleet starts this program again as its runner.
	if len(os.Args) == 3 && os.Args[1] == "runner" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := runner.Main(ctx, os.Args[2], slog.New(slog.NewTextHandler(os.Stderr, nil)))
		stop()
		if err != nil {
			slog.Error("runner", "err", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	vmtest.Clean()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			slog.Error("goroutines are left", "err", err)
			code = 1
		}
	}
	os.Exit(code)
}

func testConfig(t *testing.T) Config {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run, err := os.MkdirTemp("", "fleet") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	return Config{
		StateDir: t.TempDir(), RunDir: filepath.Join(run, "run"), Runner: []string{self, "runner"},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

func plainFleet(t *testing.T, change func(*Config)) *Local {
	t.Helper()
	cfg := testConfig(t)
	cfg.PlainDisks = true
	if change != nil {
		change(&cfg)
	}
	l, err := NewLocal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func smallSpec() nixspace.MachineSpec {
	return nixspace.MachineSpec{SessionID: nixspace.NewID(), Generation: 1, Hostname: "x", CPUs: 1, MemoryMiB: 128, DiskMiB: 64}
}

func TestRunnerThatDoesNotStart(t *testing.T) {
	for name, command := range map[string][]string{
		"ends at once": {"sh", "-c", "echo no luck >&2; exit 1"},
		"says garbage": {"sh", "-c", "echo hello >&3"},
		"is missing":   {"/nonexistent/runner"},
	} {
		t.Run(name, func(t *testing.T) {
			l := plainFleet(t, func(c *Config) { c.Runner = command })
			spec := smallSpec()
			_, err := l.Start(context.Background(), spec, nil)
			if err == nil {
				t.Fatal("it started")
			}
			if name == "ends at once" && (nixspace.ErrorCode(err) != "runner_failed" || !strings.Contains(err.Error(), "no luck")) {
				t.Errorf("got %v", err)
			}
			if err := l.Remove(context.Background(), spec.SessionID); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStartFailsWithReason(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		code   string
	}{
		"no QEMU":      {func(c *Config) { c.QEMU = "/nonexistent/qemu" }, "qemu_missing"},
		"no kernel":    {func(c *Config) { c.Kernel = "/nonexistent/kernel"; c.QEMU = "/bin/true" }, "kernel_missing"},
		"bad accel":    {func(c *Config) { c.Accel = "warp"; c.QEMU = "/bin/true" }, "accel_invalid"},
		"no KVM here?": {func(c *Config) { c.Accel = "kvm"; c.QEMU = "/bin/true"; c.Kernel = "/nonexistent" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := plainFleet(t, c.change)
			spec := smallSpec()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_, err := l.Start(ctx, spec, nil)
			if err == nil || c.code != "" && nixspace.ErrorCode(err) != c.code {
				t.Errorf("got %v", err)
			}
			state, err := runner.ReadState(l.sessionDir(spec.SessionID))
			if err != nil || state.Machine.Status != nixspace.SessionFailed || state.Machine.Reason == "" {
				t.Errorf("recorded: %+v, %v", state.Machine, err)
			}
			if _, err := os.Stat(l.socket(spec.SessionID)); err == nil {
				t.Error("the socket is left")
			}
		})
	}
}

func TestInvalidSessions(t *testing.T) {
	l := plainFleet(t, nil)
	ctx := context.Background()
	for _, id := range []nixspace.ID{"", "..", "../../etc", "a"} {
		spec := smallSpec()
		spec.SessionID = id
		_, startErr := l.Start(ctx, spec, nil)
		_, attachErr := l.Attach(ctx, id)
		for what, err := range map[string]error{"start": startErr, "attach": attachErr, "reap": l.Reap(ctx, id), "remove": l.Remove(ctx, id)} {
			if err == nil {
				t.Errorf("%s of %q was accepted", what, id)
			}
		}
	}
	id := nixspace.NewID()
	if err := errors.Join(l.Reap(ctx, id), l.Remove(ctx, id)); err != nil {
		t.Errorf("what is not there cannot be removed: %v", err)
	}
}

// TestStaleState plays a crash of host and server: what was running is not.
func TestStaleState(t *testing.T) {
	cfg := testConfig(t)
	cfg.PlainDisks = true
	id := nixspace.NewID()
	dir := filepath.Join(cfg.StateDir, "sessions", string(id))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// The recorded process ids are in use, by other processes.
	state := runner.State{
		Machine: nixspace.MachineStatus{SessionID: id, Generation: 3, Status: nixspace.SessionRunning},
		Runner:  runner.Process{PID: os.Getpid(), Start: 1}, VMM: runner.Process{PID: os.Getppid(), Start: 1},
	}
	if err := runner.WriteState(dir, state); err != nil {
		t.Fatal(err)
	}
	l, err := NewLocal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s := <-l.Watch(ctx)
	if s.SessionID != id || s.Status != nixspace.SessionFailed || s.ReasonCode != "runner_died" || s.Generation != 3 {
		t.Errorf("status: %+v", s)
	}
	if err := l.Remove(ctx, id); err != nil {
		t.Error(err)
	}
}

func TestLongStateDirectory(t *testing.T) {
	cfg := testConfig(t)
	cfg.RunDir = DefaultRunDir(filepath.Join("/", strings.Repeat("long/", 50)))
	l := &Local{cfg: cfg}
	if path := l.socket(nixspace.NewID()); len(path) >= 104 {
		t.Errorf("%q has %d bytes", path, len(path))
	}
}

func TestBoard(t *testing.T) {
	b := newBoard()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	id := nixspace.NewID()
	put := func(g int64) { b.put(nixspace.MachineStatus{SessionID: id, Generation: g}) }
	put(1)
	watch := b.watch(ctx)
	if s := <-watch; s.Generation != 1 {
		t.Errorf("first: %+v", s)
	}
	for g := int64(2); g <= 1000; g++ {
		put(g) // nobody receives meanwhile
	}
	for s := range watch {
		if s.Generation == 1000 {
			cancel()
		}
	}
	late := b.watch(context.Background())
	<-late
	b.close()
	b.close()
	if _, open := <-late; open {
		t.Error("a watcher outlived the board")
	}
}
