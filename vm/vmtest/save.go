package vmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/wire"
)

// saved is a machine that was saved: what a driver needs to start it again.
type saved struct {
	spec  vm.Spec
	state []byte
}

// copyOf makes a machine's files anew for a copy of it.
func copyOf(t *testing.T, spec vm.Spec) vm.Spec {
	t.Helper()
	dir := t.TempDir()
	next := spec
	next.ID = string(nixspace.NewID())
	next.Memory.Path = filepath.Join(dir, "memory")
	next.Disks = []vm.Drive{{Serial: spec.Disks[0].Serial, Path: filepath.Join(dir, "disk")}}
	return next
}

func (s saved) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, s.state, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// copyFile copies a file and keeps its holes.
func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	defer dst.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	buf, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(src, buf)
		if n > 0 {
			if bytes.Equal(buf[:n], zero[:n]) {
				_, werr := dst.Seek(int64(n), io.SeekCurrent)
				err = firstError(werr, err)
			} else if _, werr := dst.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return dst.Truncate(info.Size())
		}
		if err != nil {
			return err
		}
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// testSave saves machines and starts them again: the same one, copies of it, and
// what cannot be started.
func testSave(ctx context.Context, t *testing.T, d vm.Driver, k *Kit) {
	spec := k.Spec(ctx, t)
	spec.Memory.Path = filepath.Join(t.TempDir(), "memory")
	in := start(ctx, t, d, spec)
	saver, ok := in.(vm.Saver)
	if !ok {
		t.Skipf("the driver %s cannot save machines", d.Name())
	}
	key, err := d.(vm.Keyer).Key(ctx, spec)
	if err != nil || key == "" {
		t.Fatalf("key %q, %v", key, err)
	}
	c := k.configure(ctx, t, in)
	output := func(c *wire.Client, argv ...string) string {
		t.Helper()
		out, err := Output(ctx, c, argv...)
		if err != nil {
			t.Errorf("%v: %v", argv, err)
		}
		return out
	}
	output(c, "write", "/tmp/where", "in memory")
	output(c, "write", "/data/where", "on the disk")
	service := nixspace.Service{Name: "echo", Argv: []string{"serve", "7000"}, Ready: nixspace.Probe{TCP: 7000}}
	if err := c.StartServices(ctx, wire.StartRequest{Services: []nixspace.Service{service}}, nil); err != nil {
		t.Fatal(err)
	}

	fork := saved{spec: copyOf(t, spec)}
	t.Run("a machine that goes on", func(t *testing.T) {
		conn, err := c.Dial(ctx, 7000)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var state bytes.Buffer
		pause, err := saver.Save(ctx, vm.SaveRequest{State: &state, Copy: func(context.Context) error {
			return firstError(copyFile(spec.Memory.Path, fork.spec.Memory.Path), copyFile(spec.Disks[0].Path, fork.spec.Disks[0].Path))
		}})
		if err != nil || pause <= 0 || state.Len() == 0 || state.Len() > 8<<20 {
			t.Fatalf("paused %v for %d bytes of state, %v", pause, state.Len(), err)
		}
		fork.state = state.Bytes()
		t.Logf("paused for %v, %d bytes of state", pause, state.Len())
		if err := echoes(conn, "still connected"); err != nil {
			t.Error(err)
		}
		output(c, "write", "/tmp/where", "in the parent")
		output(c, "write", "/data/where", "in the parent")
	})
	t.Run("what cannot be saved goes on", func(t *testing.T) {
		refused := fmt.Errorf("refused")
		_, err := saver.Save(ctx, vm.SaveRequest{State: io.Discard, End: true, Still: func(context.Context) error { return refused }})
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("got %v", err)
		}
		if _, err := saver.Save(ctx, vm.SaveRequest{State: io.Discard, End: true, Copy: func(context.Context) error { return refused }}); err == nil {
			t.Error("a machine that could not be copied is saved")
		}
		if _, err := saver.Save(ctx, vm.SaveRequest{State: failingWriter{}, End: true}); err == nil {
			t.Error("a state that could not be written is saved")
		}
		if got := output(c, "echo", "here"); got != "here" {
			t.Errorf("%q", got)
		}
	})
	t.Run("copies", func(t *testing.T) {
		own, shared := copyOf(t, fork.spec), copyOf(t, fork.spec)
		if err := firstError(
			copyFile(fork.spec.Memory.Path, own.Memory.Path), copyFile(fork.spec.Disks[0].Path, own.Disks[0].Path),
			copyFile(fork.spec.Disks[0].Path, shared.Disks[0].Path), os.Chmod(fork.spec.Memory.Path, 0o666),
		); err != nil {
			t.Fatal(err)
		}
		shared.Memory = vm.Memory{Path: fork.spec.Memory.Path, Shared: true}
		before, err := os.ReadFile(shared.Memory.Path)
		if err != nil {
			t.Fatal(err)
		}
		var g errgroup.Group
		for _, spec := range []vm.Spec{own, shared} {
			spec.State = fork.write(t)
			committed := 0
			spec.Commit = func() error { committed++; return nil }
			in := start(ctx, t, d, spec)
			if committed != 1 {
				t.Errorf("commit was called %d times", committed)
			}
			if sameKey, err := d.(vm.Keyer).Key(ctx, spec); err != nil || sameKey != key {
				t.Errorf("key %s of a copy, %v; want %s", sameKey, err, key)
			}
			g.Go(func() error { return k.checkCopy(ctx, in, spec.ID) })
			if spec.Memory.Shared {
				if _, err := in.(vm.Saver).Save(ctx, vm.SaveRequest{State: io.Discard}); nixspace.ErrorCode(err) != "memory_shared" {
					t.Errorf("memory that is shared: %v", err)
				}
			}
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if after, err := os.ReadFile(shared.Memory.Path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("a machine wrote to the memory that it shares: %v", err)
		}
		if got := output(c, "cat", "/data/where"); got != "in the parent" {
			t.Errorf("the parent's disk holds %q", got)
		}
	})
	t.Run("the same one, many times", func(t *testing.T) {
		for n := range 3 {
			var state bytes.Buffer
			if _, err := in.(vm.Saver).Save(ctx, vm.SaveRequest{State: &state, End: true}); err != nil {
				t.Fatal(err)
			}
			await(ctx, t, in)
			if err := in.Err(); err != nil {
				t.Errorf("a machine that was saved has failed: %v", err)
			}
			next := spec
			next.State = saved{state: state.Bytes()}.write(t)
			in = start(ctx, t, d, next)
			if err := in.Transport().Reset(ctx); err != nil {
				t.Fatal(err)
			}
			c = wire.NewClient(in.Transport().Open)
			if got := output(c, "cat", "/tmp/where"); n == 0 && got != "in the parent" || n > 0 && got != fmt.Sprint(n) {
				t.Errorf("its memory holds %q", got)
			}
			output(c, "write", "/tmp/where", fmt.Sprint(n+1))
			output(c, "write", "/data/where", fmt.Sprint(n+1))
		}
	})
	t.Run("another machine has another key", func(t *testing.T) {
		other := spec
		other.CPUs = 2
		if otherKey, err := d.(vm.Keyer).Key(ctx, other); err != nil || otherKey == key {
			t.Errorf("key %s, %v", otherKey, err)
		}
	})
	t.Run("what cannot be loaded", func(t *testing.T) {
		cut := saved{state: fork.state[:len(fork.state)/2]}
		noise := saved{state: bytes.Repeat([]byte("no state "), 1000)}
		for name, change := range map[string]func(*vm.Spec){
			"half a state":    func(s *vm.Spec) { s.State = cut.write(t) },
			"noise":           func(s *vm.Spec) { s.State = noise.write(t) },
			"no state":        func(s *vm.Spec) { s.State = filepath.Join(t.TempDir(), "missing") },
			"too much memory": func(s *vm.Spec) { s.MemoryMiB *= 2 },
		} {
			bad := copyOf(t, fork.spec)
			if err := firstError(copyFile(fork.spec.Memory.Path, bad.Memory.Path), copyFile(fork.spec.Disks[0].Path, bad.Disks[0].Path)); err != nil {
				t.Fatal(err)
			}
			bad.State = fork.write(t)
			bad.Commit = func() error { t.Errorf("%s: it was loaded", name); return nil }
			change(&bad)
			in, err := d.Create(ctx, bad)
			if nixspace.ErrorCode(err) != "state_unusable" {
				t.Errorf("%s: %v", name, err)
			}
			if in != nil && err == nil {
				_ = in.Stop(ctx)
			}
		}
	})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, fmt.Errorf("the disk is full") }

// checkCopy checks that a copy of the machine lives, and makes it differ.
func (k *Kit) checkCopy(ctx context.Context, in vm.Instance, name string) error {
	if err := in.Transport().Reset(ctx); err != nil {
		return err
	}
	c := wire.NewClient(in.Transport().Open)
	err := c.Identify(ctx, wire.IdentityRequest{
		Hostname: "copy", MachineID: strings.ReplaceAll(name, "-", ""), Epoch: 8,
		UnixNano: time.Now().UnixNano(), Entropy: bytes.Repeat([]byte{2}, 64),
	})
	if err != nil {
		return err
	}
	for _, check := range [][2]string{{"cat /tmp/where", "in memory"}, {"cat /data/where", "on the disk"}, {"ids", "1000 1000 copy"}} {
		out, err := Output(ctx, c, strings.Fields(check[0])...)
		if err != nil {
			return err
		}
		if out != check[1] {
			return fmt.Errorf("%s says %q, want %q", check[0], out, check[1])
		}
	}
	conn, err := c.Dial(ctx, 7000)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := echoes(conn, name); err != nil {
		return err
	}
	_, err = Output(ctx, c, "write", "/data/where", name)
	return err
}

// echoes says something to an echo server.
func echoes(conn io.ReadWriter, text string) error {
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != text {
		return fmt.Errorf("%q came back for %q, %w", b, text, err)
	}
	return nil
}
