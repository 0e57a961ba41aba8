// Package collect removes what nothing needs any more: sessions that ended long
// ago, snapshots, files of the host, archives of code and links into the store.
//
// It decides nothing about what is in use by itself. Whoever has something knows
// whether it is, and refuses to remove it then.
package collect

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// DefaultAge is how old what may go is, where nobody says otherwise.
const DefaultAge = 30 * 24 * time.Hour

// Sessions are the use cases of sessions that collecting needs.
type Sessions interface {
	Sessions(ctx context.Context, ref string, all bool) ([]nixspace.Session, error)
	RemoveSession(ctx context.Context, ref string) error
	SessionSize(ctx context.Context, id nixspace.ID) int64
	Snapshots(ctx context.Context, ref string, all bool) ([]nixspace.Snapshot, error)
	RemoveSnapshot(ctx context.Context, ref string) (*nixspace.Snapshot, error)
	CollectStrays(ctx context.Context, remove bool) ([]nixspace.Garbage, error)
}

// Prebuilds are the use cases of prebuilds that collecting needs.
type Prebuilds interface {
	CollectPrebuilds(ctx context.Context, unused time.Time, remove bool) ([]nixspace.Garbage, error)
}

// Roots are the links that keep store paths.
type Roots interface {
	// RootsBefore returns the store paths of links that were made before a time.
	RootsBefore(ctx context.Context, before time.Time) (map[string]string, error)
	// UnrootBefore removes such a link; one that was made again since stays.
	UnrootBefore(ctx context.Context, name string, before time.Time) error
}

// Config is what collecting works with. Records, Sessions and Log are required;
// what is nil of the others is not collected.
type Config struct {
	Records    *records.Records
	Sessions   Sessions
	Prebuilds  Prebuilds
	Files      nixspace.GarbageCollector
	Workspaces nixspace.WorkspaceCollector
	Roots      Roots
	// Scheduled is what [UseCases.RunCollection] collects.
	Scheduled CollectGarbage
	Log       *slog.Logger
}

// UseCases are the use cases of garbage. They are safe for concurrent use; one
// collection runs at a time.
type UseCases struct {
	cfg Config
	one sync.Mutex
}

// New returns the use cases of garbage.
func New(cfg Config) *UseCases { return &UseCases{cfg: cfg} }

// RunCollection collects what a server collects by itself, as a job.
func (u *UseCases) RunCollection(ctx context.Context) error {
	c, err := u.CollectGarbage(nixspace.AsSystem(ctx), u.cfg.Scheduled)
	if err == nil && len(c.Items) > 0 {
		u.cfg.Log.Info("collected garbage", "things", len(c.Items), "bytes", c.Size, "failed", c.Failed)
	}
	return err
}

// CollectGarbage says what to collect.
type CollectGarbage struct {
	DryRun bool // only say what would go
	// OlderThan is how long something must not have been used, or must have ended;
	// [DefaultAge] when nil.
	OlderThan *time.Duration
	// Sessions removes sessions that have ended, with their disks; Snapshots also
	// those that people took and named.
	Sessions  bool
	Snapshots bool
}

// Collection is what was found.
type Collection struct {
	DryRun bool
	Items  []nixspace.Garbage // by kind, the oldest first
	Size   int64              // bytes of what was removed, or would be
	Failed int                // of Items could not be removed
}

// CollectGarbage removes what nothing needs. That something could not be removed is
// in the collection, and no error.
func (u *UseCases) CollectGarbage(ctx context.Context, in CollectGarbage) (*Collection, error) {
	if _, err := u.cfg.Records.Read(ctx); err != nil {
		return nil, err
	}
	age := DefaultAge
	if in.OlderThan != nil {
		age = *in.OlderThan
	}
	if age < 0 {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "age_invalid", "%v is no age", age)
	}
	u.one.Lock()
	defer u.one.Unlock()
	c := &collection{UseCases: u, in: in, before: records.Now().Add(-age)}
	// Sessions first: files and snapshots are needed by them.
	for _, step := range []func(context.Context) ([]nixspace.Garbage, error){
		c.sessions, c.prebuilds, c.snapshots, c.strays, c.files, c.workspaces, c.roots,
	} {
		found, err := step(ctx)
		c.out.Items = append(c.out.Items, found...)
		if err != nil {
			return nil, err
		}
	}
	c.out.DryRun = in.DryRun
	order := map[nixspace.GarbageKind]int{}
	for i, g := range c.out.Items {
		if _, ok := order[g.Kind]; !ok {
			order[g.Kind] = i
		}
		if g.Error != "" {
			c.out.Failed++
			u.cfg.Log.Warn("something cannot be collected", "kind", g.Kind, "name", g.Name, "error", g.Error)
			continue
		}
		c.out.Size += g.Size
	}
	slices.SortStableFunc(c.out.Items, func(a, b nixspace.Garbage) int {
		return cmp.Or(cmp.Compare(order[a.Kind], order[b.Kind]), a.LastUsed.Compare(b.LastUsed), strings.Compare(a.Name, b.Name))
	})
	return &c.out, c.record(ctx)
}

// collection is one run.
type collection struct {
	*UseCases
	in     CollectGarbage
	before time.Time
	out    Collection
}

// remove removes one thing, unless it is a dry run. Where somebody needs it after
// all it is no garbage.
func (c *collection) remove(g nixspace.Garbage, drop func() error) (nixspace.Garbage, bool) {
	if c.in.DryRun {
		return g, true
	}
	err := drop()
	switch {
	case err == nil:
		g.Removed = true
	case nixspace.ErrorKind(err) == nixspace.KindConflict || records.NotFound(err):
		return g, false
	default:
		g.Error = err.Error()
	}
	return g, true
}

func (c *collection) sessions(ctx context.Context) ([]nixspace.Garbage, error) {
	if !c.in.Sessions {
		return nil, nil
	}
	all, err := c.cfg.Sessions.Sessions(ctx, "", true)
	if err != nil {
		return nil, err
	}
	var out []nixspace.Garbage
	for _, s := range all {
		if s.EndedAt.IsZero() || !s.EndedAt.Before(c.before) {
			continue
		}
		g := nixspace.Garbage{
			Kind: nixspace.GarbageSession, Name: s.Ref(), LastUsed: s.EndedAt, Size: c.cfg.Sessions.SessionSize(ctx, s.ID),
			Reason: fmt.Sprintf("%s since %s", s.Status, s.EndedAt.Format(time.DateOnly)),
		}
		if g, ok := c.remove(g, func() error { return c.cfg.Sessions.RemoveSession(ctx, string(s.ID)) }); ok {
			out = append(out, g)
		}
	}
	return out, nil
}

func (c *collection) snapshots(ctx context.Context) ([]nixspace.Garbage, error) {
	all, err := c.cfg.Sessions.Snapshots(ctx, "", true)
	if err != nil {
		return nil, err
	}
	var out []nixspace.Garbage
	for _, s := range all {
		g := nixspace.Garbage{Kind: nixspace.GarbageSnapshot, Name: s.Ref(), LastUsed: s.CreatedAt, Size: s.Size - s.Shared}
		switch {
		case s.State == nixspace.SnapshotTaking || s.Implicit:
			continue // it goes by itself once no session needs it
		case s.State == nixspace.SnapshotLost && s.CreatedAt.Before(c.before):
			g.Reason = "its files are gone"
		case c.in.Snapshots && s.CreatedAt.Before(c.before):
			g.Reason = "taken on " + s.CreatedAt.Format(time.DateOnly)
		default:
			continue
		}
		g, ok := c.remove(g, func() error {
			_, err := c.cfg.Sessions.RemoveSnapshot(ctx, string(s.ID))
			return err
		})
		if ok {
			out = append(out, g)
		}
	}
	return out, nil
}

func (c *collection) prebuilds(ctx context.Context) ([]nixspace.Garbage, error) {
	if c.cfg.Prebuilds == nil {
		return nil, nil
	}
	return c.cfg.Prebuilds.CollectPrebuilds(ctx, c.before, !c.in.DryRun)
}

func (c *collection) strays(ctx context.Context) ([]nixspace.Garbage, error) {
	return c.cfg.Sessions.CollectStrays(ctx, !c.in.DryRun)
}

func (c *collection) files(ctx context.Context) ([]nixspace.Garbage, error) {
	if c.cfg.Files == nil {
		return nil, nil
	}
	return c.cfg.Files.CollectFiles(ctx, c.before, !c.in.DryRun)
}

func (c *collection) workspaces(ctx context.Context) ([]nixspace.Garbage, error) {
	store, ok := c.cfg.Records.Store.(nixspace.ReachableStore)
	if c.cfg.Workspaces == nil || !ok {
		return nil, nil
	}
	r, err := store.Reachable(ctx)
	if err != nil {
		return nil, err
	}
	return c.cfg.Workspaces.CollectWorkspaces(ctx, r.Workspaces, c.before, !c.in.DryRun)
}

// record appends the event of a collection that removed something.
func (c *collection) record(ctx context.Context) error {
	counts := map[string]any{}
	removed := 0
	for _, g := range c.out.Items {
		if g.Removed {
			removed++
			n, _ := counts[string(g.Kind)].(int)
			counts[string(g.Kind)] = n + 1
		}
	}
	if removed == 0 {
		return nil
	}
	counts["size"] = c.out.Size
	return c.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		return tx.Events().Append(ctx, &nixspace.Event{
			At: records.Now(), Kind: "garbage.collected", Actor: actor.Name, Data: counts,
			Message: fmt.Sprintf("removed %d things that nothing needed", removed),
		})
	})
}
