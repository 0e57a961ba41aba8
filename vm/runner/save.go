package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/snapshot"
	"github.com/nixspace/nixspace/vm/volume"
)

// OriginFile is a file of a session's folder: the snapshot that the session began
// from.
const OriginFile = "origin"

// Origin returns the snapshot that the session of a folder began from, or nothing.
func Origin(dir string) nixspace.ID {
	b, err := os.ReadFile(filepath.Join(dir, OriginFile))
	id := nixspace.ID(strings.TrimSpace(string(b)))
	if err != nil || !id.Valid() {
		return ""
	}
	return id
}

// meta describes what is saved of this machine now.
func (b *builder) meta(pause time.Duration, stateSum string) snapshot.Meta {
	return snapshot.Meta{
		Key: b.prepared.compat, StateSum: stateSum, Services: b.status().Services,
		Info: nixspace.SnapshotInfo{
			SessionID: b.spec.Machine.SessionID, ParentID: Origin(b.dir), Memory: true,
			Consistency: nixspace.ConsistencyMemory, Pause: pause, CreatedAt: time.Now().UTC(),
		},
	}
}

// saver returns the running machine as one that can be saved.
func (r *runner) saver() (*builder, vm.Saver, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.builder == nil || r.machine == nil || r.state.Machine.Status != nixspace.SessionRunning {
		return nil, nil, nixspace.Errorf(nixspace.KindUnavailable, "machine_not_ready", "the machine is not running")
	}
	s, ok := r.machine.(vm.Saver)
	if !ok {
		return nil, nil, nixspace.Errorf(nixspace.KindUnavailable, "driver_cannot_save", "the driver %s cannot save machines", r.builder.driver.Name())
	}
	return r.builder, s, nil
}

// settleTime bounds how long a guest may take to write what it has in memory.
const settleTime = 5 * time.Second

// settle writes what is in memory to the disk, first the guest's, so that the
// disk alone is worth something, and then the host's: what is written before a
// guest stands still need not be written then.
func (b *builder) settle(ctx context.Context, files ...string) error {
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	b.mu.Lock()
	client := b.client
	b.mu.Unlock()
	if err := client.Sync(limited); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// A guest that is very busy, or older than this; nothing is lost with its
		// memory.
		b.log.Warn("the guest has not written everything to its disk", "err", err)
	}
	for _, path := range files {
		if err := volume.WriteBack(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write back %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// hibernate saves the machine in the session's own files and ends it. It goes on
// when ctx ends: half of it would be of no use to anybody.
func (r *runner) hibernate(ctx context.Context) error {
	r.saving.Lock()
	defer r.saving.Unlock()
	b, saver, err := r.saver()
	if err != nil {
		return err
	}
	own := b.store.Session(r.spec.Machine.SessionID)
	if err := b.settle(ctx, own.Disk); err != nil {
		return err
	}
	began := time.Now()
	var state bytes.Buffer
	_, err = saver.Save(context.WithoutCancel(ctx), vm.SaveRequest{
		State: &state, End: true,
		Still: func(context.Context) error {
			sum, err := own.WriteState(func(w io.Writer) error { _, err := w.Write(state.Bytes()); return err })
			if err != nil {
				return err
			}
			if _, err := own.Publish(b.meta(time.Since(began), sum)); err != nil {
				return errors.Join(err, own.Forget())
			}
			// From here on the saved machine is the session; this one only ends.
			r.stop(errHibernated)
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("hibernate the session: %w", err)
	}
	r.log.Info("hibernated", "took", time.Since(began))
	return nil
}

// snapshot takes a snapshot of the machine, which goes on.
func (r *runner) snapshot(ctx context.Context, id nixspace.ID) (nixspace.SnapshotInfo, error) {
	r.saving.Lock()
	defer r.saving.Unlock()
	none := nixspace.SnapshotInfo{}
	b, saver, err := r.saver()
	if err != nil {
		return none, err
	}
	draft, err := b.store.NewSnapshot(id)
	if err != nil {
		return none, err
	}
	defer draft.Discard()
	own := b.store.Session(r.spec.Machine.SessionID)
	if err := b.settle(ctx, own.Memory, own.Disk, own.Memory); err != nil {
		return none, err
	}
	var state bytes.Buffer
	pause, err := saver.Save(ctx, vm.SaveRequest{State: &state, Copy: func(ctx context.Context) error {
		return b.store.Copy(ctx, own, draft.Files, true)
	}})
	if err != nil {
		return none, err
	}
	sum, err := draft.WriteState(func(w io.Writer) error { _, err := w.Write(state.Bytes()); return err })
	if err != nil {
		return none, err
	}
	meta := b.meta(pause, sum)
	meta.Info.ID = id
	if meta, err = draft.Publish(meta); err != nil {
		return none, err
	}
	r.log.Info("snapshot taken", "id", id, "pause", pause)
	return b.store.Describe(draft.Files, meta)
}
