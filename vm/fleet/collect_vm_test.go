//go:build vm

package fleet

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
)

// TestCollectWhileStarting collects everything of any age again and again, while
// sessions boot, start from a template, hibernate, resume and are copied.
func TestCollectWhileStarting(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	ctx, stop := context.WithCancel(h.ctx)
	var collecting sync.WaitGroup
	collected := map[nixspace.GarbageKind]int{}
	collecting.Go(func() {
		for ctx.Err() == nil {
			found, err := l.CollectFiles(h.ctx, time.Now().Add(time.Hour), true)
			if err != nil {
				t.Error(err)
			}
			for _, g := range found {
				if g.Error != "" {
					t.Errorf("%+v", g)
				}
				collected[g.Kind]++
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	one := h.spec()
	m := h.start(l, one)
	h.output(m, "write", "/data/kept", "by the disk")
	h.hibernate(m)
	one.Generation, one.Resume = 2, true
	m = h.start(l, one)
	h.cameUp(m, "resume")
	id := nixspace.NewID()
	if _, err := m.(nixspace.Snapshotter).Snapshot(h.ctx, id); err != nil {
		t.Fatal(err)
	}
	fork := h.spec()
	fork.Snapshot = id
	copied := h.start(l, fork)
	h.cameUp(copied, "snapshot")
	other := h.start(l, h.spec()) // boots, or starts from a template that is still there
	for _, m := range []nixspace.Machine{m, copied} {
		if got := h.output(m, "cat", "/data/kept"); got != "by the disk" {
			t.Errorf("%q", got)
		}
	}
	h.output(other, "ids")
	stop()
	collecting.Wait()
	if collected[nixspace.GarbageTemplate] == 0 {
		t.Log("no template was collected meanwhile")
	}
	if collected[nixspace.GarbageLayer] > 0 {
		t.Error("the layer of sessions that run was collected")
	}
	images, err := filepath.Glob(filepath.Join(l.dir("layers"), "*.erofs"))
	if err != nil || len(images) != 1 {
		t.Errorf("images: %v, %v", images, err)
	}
	size, err := l.SessionSize(h.ctx, one.SessionID)
	if err != nil || size == 0 {
		t.Errorf("a session has %d bytes, %v", size, err)
	}
	// Once no session has it, it goes.
	ids, err := l.Sessions(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := l.Reap(h.ctx, id); err != nil {
			t.Fatal(err)
		}
		if err := l.Remove(h.ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.RemoveSnapshot(h.ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, err := l.CollectFiles(h.ctx, time.Now().Add(time.Hour), true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(images[0]); err == nil {
		t.Error("an image that nothing needs is left")
	}
}
