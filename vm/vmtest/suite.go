package vmtest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/wire"
)

// Run is the suite that every driver must pass.
func Run(t *testing.T, d vm.Driver) {
	k := New(t)
	ctx, cancel := context.WithTimeout(context.Background(), 4*Patience)
	t.Cleanup(cancel)
	caps, err := d.Probe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %+v", d.Name(), caps)
	if caps.Accel == "" || caps.Isolation == "" || caps.MaxLayers < 12 || caps.Reason == "" {
		t.Errorf("capabilities are incomplete: %+v", caps)
	}
	t.Run("works", func(t *testing.T) { testWorks(ctx, t, d, k) })
	t.Run("kernel panic", func(t *testing.T) { testPanic(ctx, t, d, k) })
	t.Run("killed", func(t *testing.T) { testKilled(ctx, t, d, k) })
	t.Run("limit refused", func(t *testing.T) { testLimitRefused(ctx, t, d, k) })
	t.Run("start cancelled", func(t *testing.T) { testCancelled(ctx, t, d, k) })
	t.Run("save", func(t *testing.T) { testSave(ctx, t, d, k) })
	t.Run("most layers", func(t *testing.T) { testMostLayers(ctx, t, d, k, caps) })
}

// start boots a machine whose end is the test's end.
func start(ctx context.Context, t *testing.T, d vm.Driver, spec vm.Spec) vm.Instance {
	t.Helper()
	in, err := d.Create(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := in.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return in
}

// configure takes a guest to the point where commands run.
func (k *Kit) configure(ctx context.Context, t *testing.T, in vm.Instance) *wire.Client {
	t.Helper()
	c, err := k.setUp(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (k *Kit) setUp(ctx context.Context, in vm.Instance) (*wire.Client, error) {
	if err := in.Transport().Reset(ctx); err != nil {
		return nil, err
	}
	c := wire.NewClient(in.Transport().Open)
	return c, errors.Join(
		c.Mount(ctx, wire.MountRequest{Layers: []string{"layer0"}, Disk: "disk"}),
		c.Identify(ctx, wire.IdentityRequest{
			Hostname: "suite", MachineID: strings.Repeat("0a", 16), Epoch: 7,
			UnixNano: time.Now().UnixNano(), Entropy: bytes.Repeat([]byte{1}, 64),
		}),
		c.Prepare(ctx, wire.PrepareRequest{Base: k.Base, Environment: k.Base, Env: map[string]string{"SUITE": "yes"}}),
	)
}

// Boot takes a machine from cold to the answer of its first command, and ends it:
// what benchmarks measure.
func (k *Kit) Boot(ctx context.Context, d vm.Driver, spec vm.Spec) (err error) {
	in, err := d.Create(ctx, spec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Stop(ctx)) }()
	c, err := k.setUp(ctx, in)
	if err != nil {
		return err
	}
	out, err := Output(ctx, c, "echo", "up")
	if err == nil && out != "up" {
		err = fmt.Errorf("the first command said %q", out)
	}
	return err
}

// Output runs a command and returns what it printed, without the line's end.
func Output(ctx context.Context, e interface {
	Exec(context.Context, nixspace.Command) (nixspace.Process, error)
}, argv ...string,
) (string, error) {
	p, err := e.Exec(ctx, nixspace.Command{Argv: argv, Dir: "/"})
	if err != nil {
		return "", err
	}
	defer p.Close()
	if err := p.Stdin().Close(); err != nil {
		return "", err
	}
	var out, errOut []byte
	var g errgroup.Group
	g.Go(func() (err error) { out, err = io.ReadAll(p.Stdout()); return err })
	g.Go(func() (err error) { errOut, err = io.ReadAll(p.Stderr()); return err })
	readErr := g.Wait()
	code, err := p.Wait()
	if err = errors.Join(err, readErr); err != nil {
		return "", err
	}
	if code != 0 {
		return "", fmt.Errorf("%v: exit code %d: %s", argv, code, errOut)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

func testWorks(ctx context.Context, t *testing.T, d vm.Driver, k *Kit) {
	spec := k.Spec(ctx, t)
	spec.CPUs = 2
	var console syncBuffer
	spec.Console = &console
	limited := 0
	spec.Limit = func(pid int) error { limited = pid; return nil }
	in := start(ctx, t, d, spec)
	if in.ID() != spec.ID || in.PID() != limited || limited <= 1 {
		t.Errorf("id %q, process %d, limited process %d", in.ID(), in.PID(), limited)
	}
	if _, err := in.Transport().Open(ctx); err == nil {
		t.Error("a stream was opened before the agent answered")
	}
	c := k.configure(ctx, t, in)
	output := func(argv ...string) string {
		t.Helper()
		out, err := Output(ctx, c, argv...)
		if err != nil {
			t.Errorf("%v: %v", argv, err)
		}
		return out
	}

	t.Run("resources", func(t *testing.T) {
		if got := output("processors"); got != "2" {
			t.Errorf("%s processors, want 2", got)
		}
		if got := output("ids"); got != "1000 1000 suite" {
			t.Errorf("user, group and host name: %s", got)
		}
		if got := output("interfaces"); got != "lo" {
			t.Errorf("network interfaces %q, want lo alone", got)
		}
		if _, err := Output(ctx, c, "allocate", "2000"); err == nil {
			t.Error("a guest of 256 MiB gave a program 2000")
		}
		ns, err := strconv.ParseInt(output("clock"), 10, 64)
		if off := time.Since(time.Unix(0, ns)); err != nil || off.Abs() > 30*time.Second {
			t.Errorf("the guest's clock is %v off, %v", off, err)
		}
	})
	t.Run("store is read-only", func(t *testing.T) {
		if _, err := Output(ctx, c, "write", k.Base+"/bin/new", "x"); err == nil {
			t.Error("the store can be written")
		}
	})
	t.Run("machine is unprivileged", func(t *testing.T) { checkPrivileges(t, in.PID()) })
	t.Run("files", func(t *testing.T) {
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		data := bytes.Repeat([]byte("nixspace\n"), 200_000)
		if err := w.WriteHeader(&tar.Header{Name: "big", Mode: 0o644, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Put(ctx, wire.PutRequest{Dir: "/workspace"}, &archive); err != nil {
			t.Fatal(err)
		}
		if got := output("cat", "/workspace/big"); got+"\n" != string(data) {
			t.Errorf("%d bytes came back of %d", len(got)+1, len(data))
		}
	})
	t.Run("dial", func(t *testing.T) {
		p, err := c.Exec(ctx, nixspace.Command{Argv: []string{"serve", "8080"}, Dir: "/"})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if _, err := io.ReadFull(p.Stdout(), make([]byte, len("serving\n"))); err != nil {
			t.Fatal(err)
		}
		conn, err := c.Dial(ctx, 8080)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(conn, b); err != nil || string(b) != "hello" {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var g errgroup.Group
		for i := range 10 {
			g.Go(func() error {
				got, err := Output(ctx, c, "echo", strconv.Itoa(i))
				if err == nil && got != strconv.Itoa(i) {
					err = fmt.Errorf("%q came back for %d", got, i)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		p, err := c.Exec(ctx, nixspace.Command{Argv: []string{"sleep", "1000"}, Dir: "/"})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for range 3 {
			if err := in.Transport().Reset(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.Wait(); err == nil {
			t.Error("a stream survived a reset")
		}
		if got := output("echo", "again"); got != "again" {
			t.Errorf("after a reset: %q", got)
		}
	})
	t.Run("power-off", func(t *testing.T) {
		if err := c.Shutdown(ctx, wire.ShutdownRequest{}); err != nil {
			t.Fatal(err)
		}
		await(ctx, t, in)
		if err := in.Err(); err != nil {
			t.Errorf("a power-off is a failure: %v", err)
		}
		if _, err := in.Transport().Open(ctx); err == nil {
			t.Error("a stream was opened to a machine that is off")
		}
	})
}

func await(ctx context.Context, t *testing.T, in vm.Instance) {
	t.Helper()
	select {
	case <-in.Done():
	case <-ctx.Done():
		t.Fatal("the machine does not end")
	}
}

// checkPrivileges looks at the process of a machine from outside.
func checkPrivileges(t *testing.T, pid int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		bad := false
		switch f[0] {
		case "Uid:", "Gid:":
			bad = os.Geteuid() == 0 && f[1] == "0"
		case "NoNewPrivs:":
			bad = f[1] != "1"
		case "Seccomp:":
			bad = f[1] != "2"
		case "CapEff:", "CapPrm:":
			bad = strings.Trim(f[1], "0") != ""
		}
		if bad {
			t.Errorf("the machine's process has %s", strings.TrimSpace(line))
		}
	}
}

func testPanic(ctx context.Context, t *testing.T, d vm.Driver, k *Kit) {
	spec := k.Spec(ctx, t)
	spec.Append = "rdinit=/nonexistent root=/dev/nonexistent"
	in := start(ctx, t, d, spec)
	resetErr := in.Transport().Reset(ctx)
	await(ctx, t, in)
	for _, err := range []error{resetErr, in.Err()} {
		if nixspace.ErrorCode(err) != "machine_crashed" || !strings.Contains(err.Error(), "panic") {
			t.Errorf("a kernel that panics gives %v", err)
		}
	}
}

func testKilled(ctx context.Context, t *testing.T, d vm.Driver, k *Kit) {
	in := start(ctx, t, d, k.Spec(ctx, t))
	c := k.configure(ctx, t, in)
	p, err := c.Exec(ctx, nixspace.Command{Argv: []string{"sleep", "1000"}, Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := unix.Kill(in.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, in)
	if _, err := p.Wait(); err == nil {
		t.Error("a process in a dead machine ended well")
	}
	if err := in.Err(); nixspace.ErrorCode(err) != "vmm_died" {
		t.Errorf("a killed machine gives %v", err)
	}
	if err := in.Stop(ctx); err != nil {
		t.Errorf("Stop after the end: %v", err)
	}
}

func testLimitRefused(ctx context.Context, t *testing.T, d vm.Driver, k *Kit) {
	spec := k.Spec(ctx, t)
	pid, refused := 0, errors.New("refused")
	spec.Limit = func(p int) error { pid = p; return refused }
	if _, err := d.Create(ctx, spec); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	if err := unix.Kill(pid, 0); pid == 0 || !errors.Is(err, unix.ESRCH) {
		t.Errorf("process %d is left: %v", pid, err)
	}
}

func testCancelled(ctx context.Context, t *testing.T, d vm.Driver, k *Kit) {
	in := start(ctx, t, d, k.Spec(ctx, t))
	short, cancel := context.WithCancel(ctx)
	cancel()
	if err := in.Transport().Reset(short); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// What was cancelled can be done again.
	if err := in.Transport().Reset(ctx); err != nil {
		t.Error(err)
	}
	if err := in.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := in.Err(); err != nil {
		t.Errorf("a machine that was stopped has failed: %v", err)
	}
}

func testMostLayers(ctx context.Context, t *testing.T, d vm.Driver, k *Kit, caps vm.Capabilities) {
	spec := k.Spec(ctx, t)
	var serials []string
	layer := spec.Layers[0]
	spec.Layers = nil
	for i := range caps.MaxLayers {
		layer.Serial = fmt.Sprintf("layer%d", i)
		serials = append(serials, layer.Serial)
		spec.Layers = append(spec.Layers, layer)
	}
	in := start(ctx, t, d, spec)
	if err := in.Transport().Reset(ctx); err != nil {
		t.Fatal(err)
	}
	c := wire.NewClient(in.Transport().Open)
	if err := c.Mount(ctx, wire.MountRequest{Layers: serials, Disk: "disk"}); err != nil {
		t.Error(err)
	}
}
