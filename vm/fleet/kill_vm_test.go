//go:build vm

package fleet

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/runner"
)

// killing is a host on which things are killed at random moments.
type killing struct {
	*host
	l    *Local
	rand *rand.Rand
}

// restart plays the death of the server: the next one finds what the last one left.
func (k *killing) restart() {
	k.Helper()
	if err := k.l.Close(); err != nil {
		k.Error(err)
	}
	var err error
	if k.l, err = NewLocal(k.cfg); err != nil {
		k.Fatal(err)
	}
}

// during runs op and kills the runner or the machine of a session at some moment of
// it, or just after it. It returns what op did.
func (k *killing) during(id nixspace.ID, op func() error) error {
	k.Helper()
	done := make(chan error, 1)
	go func() { done <- op() }()
	var err error
	ended := false
	select {
	case <-time.After(time.Duration(k.rand.IntN(600)) * time.Millisecond):
	case err = <-done:
		ended = true
	}
	if state, rerr := runner.ReadState(k.l.sessionDir(id)); rerr == nil {
		victim := state.Runner
		if k.rand.IntN(2) == 0 {
			victim = state.VMM
		}
		if kerr := victim.Kill(k.ctx.Done()); kerr != nil {
			k.Error(kerr)
		}
	}
	if !ended {
		err = <-done
	}
	return err
}

// settled ends what is left of a session of which something was killed, or nothing
// in time, and checks that nothing of it runs.
func (k *killing) settled(id nixspace.ID) {
	k.Helper()
	if err := k.l.Reap(k.ctx, id); err != nil {
		k.Error(err)
	}
	state, err := runner.ReadState(k.l.sessionDir(id))
	if err != nil {
		return // it never began, or was removed
	}
	k.l.mu.Lock()
	f := k.l.followers[id]
	k.l.mu.Unlock()
	if f != nil {
		select {
		case <-f.ended:
		case <-k.ctx.Done():
			k.Fatal("a session whose runner is gone is still followed")
		}
	}
	k.gone(k.l, id, state)
}

// TestRandomKills kills runners and machines at random moments of starts, resumes,
// forks and removals, and now and then the server after it: no snapshot that was
// reported is lost, the disk of a session that is kept holds what it held, and
// nothing is left of what was ended. NIXSPACE_KILLS is how often, NIXSPACE_SEED
// repeats a run.
func TestRandomKills(t *testing.T) {
	h := newHost(t)
	rounds, seed := 10, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("NIXSPACE_KILLS")); err == nil {
		rounds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("NIXSPACE_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("NIXSPACE_SEED=%d", seed)
	l, err := NewLocal(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	k := &killing{host: h, l: l, rand: rand.New(rand.NewPCG(seed, 1))}
	t.Cleanup(func() {
		ids, err := k.l.Sessions(k.ctx)
		if err != nil {
			t.Error(err)
		}
		for _, id := range ids {
			if err := errors.Join(k.l.Reap(k.ctx, id), k.l.Remove(k.ctx, id)); err != nil {
				t.Error(err)
			}
		}
		if err := k.l.Close(); err != nil {
			t.Error(err)
		}
		h.nothingLeft()
	})

	spec := h.spec()
	m := h.start(k.l, spec)
	h.output(m, "write", "/data/kept", "kept")
	snap := nixspace.NewID()
	if _, err := m.(nixspace.Snapshotter).Snapshot(h.ctx, snap); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(h.ctx); err != nil {
		t.Fatal(err)
	}
	for n := range rounds {
		what := []string{"start", "resume", "fork", "remove"}[k.rand.IntN(4)]
		t.Logf("round %d: %s", n, what)
		if what == "start" || what == "resume" {
			spec.Generation++
			if spec.Resume = what == "resume"; spec.Resume {
				h.hibernate(h.start(k.l, spec))
				spec.Generation++
			}
			_ = k.during(spec.SessionID, func() error {
				_, err := k.l.Start(h.ctx, spec, nil)
				return err
			})
			k.settled(spec.SessionID)
		} else {
			fork := h.spec()
			fork.Snapshot = snap
			start := func() error {
				_, err := k.l.Start(h.ctx, fork, nil)
				return err
			}
			if what == "fork" {
				_ = k.during(fork.SessionID, start)
				k.settled(fork.SessionID)
			} else {
				if err := start(); err != nil {
					t.Fatalf("fork: %v", err)
				}
				_ = k.during(fork.SessionID, func() error {
					return errors.Join(k.l.Reap(h.ctx, fork.SessionID), k.l.Remove(h.ctx, fork.SessionID))
				})
				k.settled(fork.SessionID)
			}
			if err := errors.Join(k.l.Reap(h.ctx, fork.SessionID), k.l.Remove(h.ctx, fork.SessionID)); err != nil {
				t.Errorf("remove what was killed: %v", err)
			}
			for _, pattern := range []string{filepath.Join(k.l.pool.Dir(), string(fork.SessionID)+"*"), k.l.sessionDir(fork.SessionID)} {
				if left, err := filepath.Glob(pattern); err != nil || len(left) > 0 {
					t.Errorf("left: %v, %v", left, err)
				}
			}
		}
		if k.rand.IntN(2) == 0 {
			k.restart()
		}
		if _, err := k.l.saved.Snapshot(snap).Check(); err != nil {
			t.Fatalf("the snapshot is not whole any more: %v", err)
		}
		// The session that is kept comes up with its disk as it was.
		if what == "start" || what == "resume" || n == rounds-1 {
			spec.Generation++
			m := h.start(k.l, spec)
			if got := h.output(m, "cat", "/data/kept"); got != "kept" {
				t.Fatalf("the disk holds %q", got)
			}
			if err := m.Stop(h.ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	copied := h.spec()
	copied.Snapshot = snap
	m = h.start(k.l, copied)
	h.cameUp(m, "snapshot")
	if got := h.output(m, "cat", "/data/kept"); got != "kept" {
		t.Errorf("the snapshot holds %q", got)
	}
}
