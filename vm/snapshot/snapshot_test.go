package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/volume"
)

func testStore(t *testing.T) *Store {
	t.Helper()
	pool, err := volume.Open(context.Background(), filepath.Join(t.TempDir(), "volumes"), volume.Options{Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	return In(pool)
}

// write makes the files of a saved machine, without the description.
func write(t *testing.T, f Files) (m Meta) {
	t.Helper()
	for path, n := range map[string]int{f.Disk: 3 << 20, f.Memory: 2 << 20} {
		if err := os.WriteFile(path, bytes.Repeat([]byte("x"), n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := f.WriteState(func(w io.Writer) error { _, err := io.WriteString(w, "the state"); return err })
	if err != nil {
		t.Fatal(err)
	}
	return Meta{Key: "k1", StateSum: sum, Info: nixspace.SnapshotInfo{Memory: true, CreatedAt: time.Now().UTC()}}
}

func TestASavedMachineIsWholeOrNothing(t *testing.T) {
	s := testStore(t)
	id := nixspace.NewID()
	f := s.Session(id)
	if _, err := f.Check(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing was saved: %v", err)
	}
	m := write(t, f)
	wrong := m
	wrong.StateSum = strings.Repeat("0", 64)
	if _, err := f.Publish(wrong); nixspace.ErrorCode(err) != "snapshot_unusable" {
		t.Errorf("a state that was not written right: %v", err)
	}
	if _, ok := s.Hibernated(id); ok {
		t.Error("a save that failed counts")
	}
	m, err := f.Publish(m)
	if err != nil || m.DiskSize != 3<<20 || m.MemorySize != 2<<20 || m.StateSize != 9 {
		t.Fatalf("%+v, %v", m, err)
	}
	if got, err := f.CheckMemory("k1"); err != nil || cmp.Diff(m, got) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(m, got))
	}
	if _, err := f.CheckMemory("k2"); nixspace.ErrorCode(err) != "snapshot_unusable" {
		t.Errorf("another machine: %v", err)
	}
	for name, damage := range map[string]func() error{
		"a state that is cut":      func() error { return os.Truncate(f.State, 5) },
		"another state":            func() error { return os.WriteFile(f.State, []byte("the_state"), 0o600) },
		"no state":                 func() error { return os.Remove(f.State) },
		"a memory that is cut":     func() error { return os.Truncate(f.Memory, 4096) },
		"no memory":                func() error { return os.Remove(f.Memory) },
		"a disk that has grown":    func() error { return os.Truncate(f.Disk, 4<<20) },
		"a description of nothing": func() error { return os.WriteFile(f.Meta, nil, 0o600) },
		"one of another format":    func() error { return os.WriteFile(f.Meta, []byte(`{"format":99}`), 0o600) },
	} {
		if _, err := f.Publish(write(t, f)); err != nil {
			t.Fatal(err)
		}
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Check(); nixspace.ErrorCode(err) != "snapshot_unusable" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 2 {
		if err := errors.Join(f.Forget(), f.Remove()); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(f.Disk), "*")); err != nil || len(left) != 1 || left[0] != f.Disk {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestOnlyWhatLastsSurvivesTheHost pretends that the host was started again.
func TestOnlyWhatLastsSurvivesTheHost(t *testing.T) {
	s := testStore(t)
	f := s.Session(nixspace.NewID())
	restart := func() {
		m, err := f.Read()
		if err != nil {
			t.Fatal(err)
		}
		m.Boot = "another"
		b, err := json.Marshal(m)
		if err == nil {
			err = os.WriteFile(f.Meta, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Publish(write(t, f)); err != nil {
		t.Fatal(err)
	}
	restart()
	if _, err := f.Check(); nixspace.ErrorCode(err) != "snapshot_unusable" || !strings.Contains(err.Error(), "started again") {
		t.Errorf("it was not on the disk: %v", err)
	}
	if err := f.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Check(); err != nil {
		t.Errorf("it was on the disk: %v", err)
	}
	if _, err := f.Publish(write(t, f)); err != nil { // saved again
		t.Fatal(err)
	}
	restart()
	if _, err := f.Check(); nixspace.ErrorCode(err) != "snapshot_unusable" {
		t.Errorf("an older save was on the disk: %v", err)
	}
}

func TestSnapshotsAndTemplates(t *testing.T) {
	ctx := context.Background()
	s := testStore(t)
	own := s.Session(nixspace.NewID())
	meta := write(t, own)
	take := func(id nixspace.ID) error {
		d, err := s.NewSnapshot(id)
		if err != nil {
			return err
		}
		defer d.Discard()
		if err := s.Copy(ctx, own, d.Files, true); err != nil {
			return err
		}
		if _, err := d.WriteState(func(w io.Writer) error { _, err := io.WriteString(w, "the state"); return err }); err != nil {
			return err
		}
		if list, err := s.List(); err != nil || len(list) > 0 && list[len(list)-1].ID == id {
			t.Errorf("a draft is visible: %v, %v", list, err)
		}
		m := meta
		m.Info.ID = id
		_, err = d.Publish(m)
		return err
	}
	a := nixspace.NewID()
	if err := take(a); err != nil {
		t.Fatal(err)
	}
	if err := take(a); nixspace.ErrorCode(err) != "snapshot_exists" {
		t.Errorf("twice: %v", err)
	}
	if err := take("../x"); err == nil {
		t.Error("a snapshot outside the store")
	}
	list, err := s.List()
	if err != nil || len(list) != 1 || list[0].ID != a || list[0].Size < 5<<20 || list[0].CompatKey != "k1" {
		t.Errorf("%+v, %v", list, err)
	}
	f := s.Snapshot(a)
	var sharing sync.WaitGroup // as forks do that are made at once
	for range 8 {
		sharing.Go(func() {
			if err := s.Share(ctx, f); err != nil {
				t.Error(err)
			}
		})
	}
	sharing.Wait()
	if left, err := filepath.Glob(f.SharedMemory + ".*"); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if info, err := os.Stat(f.SharedMemory); err != nil || info.Size() != 2<<20 {
		t.Errorf("%v, %v", info, err)
	}
	for range 2 {
		if err := s.Remove(a); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.Check(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a snapshot that was removed: %v", err)
	}

	for _, key := range []string{"t1", "t2", "t3"} {
		unlock, ok, err := s.LockTemplate(key)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if _, ok, err := s.LockTemplate(key); ok || err != nil {
			t.Errorf("two make the same template: %v", err)
		}
		d, err := s.NewTemplate(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Publish(write(t, d.Files)); err != nil {
			t.Fatal(err)
		}
		unlock()
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(s.Template(key).Meta, old, old); err != nil {
			t.Fatal(err)
		}
	}
	s.Used("t1")
	if err := s.Prune(1); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"t1": true, "t2": false, "t3": false} {
		if _, err := s.Template(key).Check(); (err == nil) != want {
			t.Errorf("template %s: %v", key, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(s.pool.Dir(), "*", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte(`{"format":1,"disk_size":1,"info":{"memory":true},"state_size":-1,"boot":"x"}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		files := in(dir)
		if err := os.WriteFile(files.Meta, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Check(); err == nil {
			t.Error("a machine without files can be used")
		}
	})
}
