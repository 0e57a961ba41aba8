//go:build vm

package fleet

import (
	"errors"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/runner"
)

// TestAbandoned leaves machines without a server: a session hibernates by itself and
// goes on where it was, and what is for one use ends.
func TestAbandoned(t *testing.T) {
	h := newHost(t)
	h.cfg.Abandoned = time.Second
	l, err := NewLocal(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	kept, once := h.spec(), h.spec()
	once.Ephemeral = true
	h.output(h.start(l, kept), "write", "/tmp/where", "before")
	h.start(l, once)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, spec := range []nixspace.MachineSpec{kept, once} {
		for {
			lock, err := runner.TryLock(l.sessionDir(spec.SessionID))
			if err == nil {
				lock.Unlock()
				break
			}
			if !errors.Is(err, runner.ErrLocked) || h.ctx.Err() != nil {
				t.Fatal(err, h.ctx.Err())
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	h.cfg.Abandoned = 0
	l = h.fleet()
	for want, spec := range map[bool]nixspace.MachineSpec{true: kept, false: once} {
		if got, err := l.Hibernated(h.ctx, spec.SessionID); err != nil || got != want {
			t.Errorf("hibernated: %v, %v, want %v", got, err, want)
		}
	}
	kept.Generation, kept.Resume = 2, true
	m := h.start(l, kept)
	h.cameUp(m, "resume")
	if got := h.output(m, "cat", "/tmp/where"); got != "before" {
		t.Errorf("its memory holds %q", got)
	}
}
