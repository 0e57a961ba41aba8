package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
)

// A machine is saved and loaded as QEMU migrates one, with the memory left out:
// that is a file, which QEMU takes as it finds it.

// saveTime bounds how long a guest stands still in the worst case: a state has
// some hundred kilobytes.
const saveTime = 30 * time.Second

// maxState bounds a state: the largest seen has 400 KB.
const maxState = 64 << 20

// Save implements [vm.Saver].
func (in *instance) Save(ctx context.Context, r vm.SaveRequest) (pause time.Duration, err error) {
	if in.memory.Path == "" || in.memory.Shared {
		return 0, nixspace.Errorf(nixspace.KindConflict, "memory_shared", "the machine's memory is not its own, so it cannot be saved").
			WithHint("start a session that is not a throw-away")
	}
	in.saving.Lock()
	defer in.saving.Unlock()
	if err := in.leaveMemoryOut(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, saveTime)
	defer cancel()
	began := time.Now()
	if _, err := in.monitor.command(ctx, "stop", nil); err != nil {
		return 0, errors.Join(err, in.goOn()) // it may have stopped although nobody waited for the answer
	}
	g, together := errgroup.WithContext(ctx)
	g.Go(func() error { return in.writeState(together, r.State) })
	if r.Copy != nil {
		g.Go(func() error { return r.Copy(together) })
	}
	err = g.Wait()
	if err == nil && r.Still != nil {
		err = r.Still(ctx)
	}
	if err == nil && r.End {
		// What was saved is the machine now; whatever becomes of the process.
		return time.Since(began), in.Stop(ctx)
	}
	err = errors.Join(err, in.goOn())
	return time.Since(began), err
}

// goOn lets a guest that was stopped go on, and ends a machine that cannot.
func (in *instance) goOn() error {
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	if _, err := in.monitor.command(ctx, "cont", nil); err != nil {
		in.kill()
		return fmt.Errorf("let the guest go on: %w", err)
	}
	return nil
}

// leaveMemoryOut prepares a migration: shared memory is no part of it, and its
// end is an event.
func (in *instance) leaveMemoryOut(ctx context.Context) error {
	type capability struct {
		Capability string `json:"capability"`
		State      bool   `json:"state"`
	}
	_, err := in.monitor.command(ctx, "migrate-set-capabilities", map[string]any{
		"capabilities": []capability{{"x-ignore-shared", true}, {"events", true}},
	})
	return err
}

// writeState copies the state of processors and devices to w. The guest has
// stopped.
func (in *instance) writeState(ctx context.Context, w io.Writer) error {
	in.forgetMigration()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	stop := context.AfterFunc(ctx, func() { _ = read.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	const name = "state"
	_, err = in.monitor.commandWith(ctx, write, "getfd", map[string]any{"fdname": name})
	write.Close()
	if err != nil {
		return err
	}
	if _, err := in.monitor.command(ctx, "migrate", map[string]any{"uri": "fd:" + name}); err != nil {
		_, _ = in.monitor.command(ctx, "closefd", map[string]any{"fdname": name})
		return err
	}
	// It is read whole, whatever becomes of w: QEMU must come to an end. It closes
	// its end when it has done everything that belongs to a migration; before that
	// it refuses to go on.
	var state bytes.Buffer
	n, err := io.Copy(&state, io.LimitReader(read, maxState+1))
	if err == nil && n > maxState {
		err = fmt.Errorf("the machine's state has more than %d bytes", maxState)
	}
	if err != nil {
		read.Close() // QEMU cannot write any more, and gives up
		ended, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
		defer cancel()
		_ = in.awaitMigration(ended)
		return err
	}
	if err := in.awaitMigration(ctx); err != nil {
		return err
	}
	if _, err := w.Write(state.Bytes()); err != nil {
		return fmt.Errorf("write the machine's state: %w", err)
	}
	return nil
}

// load takes up a saved state from an inherited file and lets the guest go on.
func (in *instance) load(ctx context.Context, fd int, commit func() error) error {
	if err := in.leaveMemoryOut(ctx); err != nil {
		return err
	}
	in.forgetMigration()
	if _, err := in.monitor.command(ctx, "migrate-incoming", map[string]any{"uri": fmt.Sprintf("fd:%d", fd)}); err != nil {
		return in.notLoaded(ctx, err)
	}
	if err := in.awaitMigration(ctx); err != nil {
		return in.notLoaded(ctx, err)
	}
	if commit != nil {
		if err := commit(); err != nil {
			return fmt.Errorf("take over the saved machine: %w", err)
		}
	}
	_, err := in.monitor.command(ctx, "cont", nil)
	return in.notLoaded(ctx, err)
}

// notLoaded explains why a state was not loaded. QEMU ends at once when it does
// not like one, and says why only on its way out.
func (in *instance) notLoaded(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	in.kill()
	if said := in.stderr.String(); said != "" {
		err = fmt.Errorf("%w; QEMU said: %s", err, said)
	}
	return unusable(err)
}

func unusable(err error) error {
	return nixspace.Errorf(nixspace.KindUnavailable, "state_unusable", "the saved machine cannot be loaded: %w", err)
}

// forgetMigration drops how the last migration ended.
func (in *instance) forgetMigration() {
	select {
	case <-in.migrated:
	default:
	}
}

// awaitMigration waits for the end of a migration.
func (in *instance) awaitMigration(ctx context.Context) error {
	select {
	case status := <-in.migrated:
		if status != "completed" {
			return fmt.Errorf("the migration has %s", status)
		}
		return nil
	case <-in.monitor.done:
		return in.monitor.reason()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ownMemory makes the file of a guest's memory as large as that, and the
// machine's user its owner, because QEMU opens it by a path.
func ownMemory(f *os.File, spec vm.Spec) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := spec.MemoryMiB << 20
	if spec.State != "" && info.Size() != size {
		return unusable(fmt.Errorf("its memory has %d bytes, not %d", info.Size(), size))
	}
	if spec.Memory.Shared {
		return nil
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	if c := credential(spec.ID); c != nil {
		if err := unix.Fchown(int(f.Fd()), int(c.Uid), int(c.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(0o600)
}
