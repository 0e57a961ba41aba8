package app_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/collect"
	"github.com/nixspace/nixspace/app/sessions"
)

func (h *host) collect(t *testing.T, in collect.CollectGarbage) (*collect.Collection, string) {
	t.Helper()
	c, err := h.CollectGarbage(h.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, g := range c.Items {
		if g.Reason == "" || g.Removed == in.DryRun || g.Error != "" {
			t.Errorf("%+v", g)
		}
		names = append(names, string(g.Kind)+" "+g.Name)
	}
	return c, strings.Join(names, ", ")
}

func (h *host) stopped(t *testing.T, ref string) nixspace.Session {
	t.Helper()
	s := h.startSession(t, sessions.StartSession{Ref: ref})
	h.await(t, s.ID, nixspace.SessionRunning)
	got, err := h.StopSession(h.ctx, string(s.ID))
	if err != nil {
		t.Fatal(err)
	}
	return *got
}

func TestCollectGarbage(t *testing.T) {
	h := newHost(t)
	h.create(t)
	running := h.startSession(t, sessions.StartSession{Ref: "shop"})
	h.await(t, running.ID, nixspace.SessionRunning)
	asleep := h.startSession(t, sessions.StartSession{Ref: "shop"})
	h.await(t, asleep.ID, nixspace.SessionRunning)
	if _, err := h.HibernateSession(h.ctx, string(asleep.ID)); err != nil {
		t.Fatal(err)
	}
	old := h.stopped(t, "shop")
	named, err := h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: string(running.ID), Name: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	h.machines.Leave(nixspace.NewID()) // files that nobody owns

	none := time.Duration(0)
	all := collect.CollectGarbage{OlderThan: &none, Sessions: true}
	if _, got := h.collect(t, collect.CollectGarbage{Sessions: true, DryRun: true}); !strings.HasPrefix(got, "stray session ") || strings.Contains(got, ",") {
		t.Errorf("of a month: %s", got)
	}
	dry := all
	dry.DryRun = true
	c, first := h.collect(t, dry)
	if !strings.HasPrefix(first, "session shop/shop/3, stray session ") || c.Size != 200 || !c.DryRun {
		t.Errorf("a dry run finds %s, %d bytes", first, c.Size)
	}
	if _, err := h.Session(h.ctx, "shop/3"); err != nil || !h.machines.HasDisk(old.ID) {
		t.Errorf("a dry run removes something: %v", err)
	}
	events, err := h.WatchEvents(h.ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, got := h.collect(t, all); got != first {
		t.Errorf("it removes %s, and a dry run found %s", got, first)
	}
	for e := range events {
		if e.Kind == "garbage.collected" {
			if e.Data["session"] != float64(1) || e.Data["stray"] != float64(1) || e.Data["size"] != float64(200) || e.Actor != "ada" {
				t.Errorf("%+v", e)
			}
			break
		}
	}
	if h.machines.HasDisk(old.ID) || !h.machines.HasDisk(running.ID) || !h.machines.HasDisk(asleep.ID) {
		t.Error("the wrong disks are gone")
	}
	if _, got := h.collect(t, all); got != "" {
		t.Errorf("a second time it removes %s", got)
	}
	all.Snapshots = true
	if _, got := h.collect(t, all); got != "snapshot "+named.Ref() {
		t.Errorf("with snapshots it removes %s", got)
	}
	minus := -time.Second
	_, err = h.CollectGarbage(h.ctx, collect.CollectGarbage{OlderThan: &minus})
	wantCode(t, err, nixspace.KindInvalid, "age_invalid")
	if _, err := h.CollectGarbage(t.Context(), all); err == nil {
		t.Error("somebody unknown collects")
	}
	// What a server does by itself leaves sessions alone, unless it is told not to.
	h.stopped(t, "shop")
	if err := h.RunCollection(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Session(h.ctx, "shop/4"); err != nil {
		t.Error(err)
	}
}

// TestCollectRoots looks at the links that keep store paths.
func TestCollectRoots(t *testing.T) {
	h := newHost(t)
	h.create(t)
	longAgo := time.Now().Add(-100 * 24 * time.Hour)
	h.packages.AgeRoots(longAgo)
	before := len(h.packages.Roots())
	if err := h.packages.Root(h.ctx, "environment-"+strings.Repeat("0", 32), nixspace.StoreDir+"/x"); err != nil {
		t.Fatal(err)
	}
	if _, got := h.collect(t, collect.CollectGarbage{}); got != "" {
		t.Errorf("of links made today it removes %s", got)
	}
	h.packages.AgeRoots(longAgo)
	if _, got := h.collect(t, collect.CollectGarbage{}); got != "root environment-"+strings.Repeat("0", 32) {
		t.Errorf("it removes %s", got)
	}
	if n := len(h.packages.Roots()); n != before {
		t.Errorf("%d links are left, of %d that are needed", n, before)
	}
}

// TestCollectRacesStarts starts and copies sessions while they are collected: each
// either runs with its disk, or is gone as a whole.
func TestCollectRacesStarts(t *testing.T) {
	h := newHost(t)
	h.create(t)
	none := time.Duration(0)
	for range 12 {
		s, copied := h.stopped(t, "shop"), h.stopped(t, "shop")
		var all sync.WaitGroup
		var startErr, snapErr error
		var snap *nixspace.Snapshot
		all.Go(func() { _, startErr = h.StartSession(h.ctx, sessions.StartSession{Ref: string(s.ID)}) })
		all.Go(func() {
			snap, snapErr = h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: string(copied.ID)})
		})
		all.Go(func() {
			if _, err := h.CollectGarbage(h.ctx, collect.CollectGarbage{OlderThan: &none, Sessions: true}); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if startErr == nil {
			h.await(t, s.ID, nixspace.SessionRunning)
			if !h.machines.HasDisk(s.ID) || !h.machines.Running(s.ID) {
				t.Fatal("a session that was started has lost its disk")
			}
			if _, err := h.StopSession(h.ctx, string(s.ID)); err != nil {
				t.Fatal(err)
			}
		} else {
			if !slices.Contains([]string{"session_unknown", "not_found"}, nixspace.ErrorCode(startErr)) && nixspace.ErrorKind(startErr) != nixspace.KindNotFound {
				t.Fatal(startErr)
			}
			if h.machines.HasDisk(s.ID) {
				t.Fatal("a session that was collected has left its disk")
			}
		}
		if snapErr == nil {
			if _, err := h.Snapshot(h.ctx, string(snap.ID)); err != nil {
				t.Fatal(err)
			}
		} else if nixspace.ErrorKind(snapErr) != nixspace.KindNotFound {
			t.Fatal(snapErr)
		}
	}
}
