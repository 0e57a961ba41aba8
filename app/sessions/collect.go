package sessions

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// CollectStrays finds the files of sessions and snapshots that no record knows;
// with remove, it removes them. What is being made has its record before its
// files, so the files are listed first.
func (a *UseCases) CollectStrays(ctx context.Context, remove bool) ([]nixspace.Garbage, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	var out []nixspace.Garbage
	found := func(g nixspace.Garbage, drop func() error) {
		g.Kind = nixspace.GarbageStray
		if remove {
			if err := drop(); err != nil {
				g.Error = err.Error()
			}
			g.Removed = g.Error == ""
		}
		out = append(out, g)
	}
	ids, err := a.machines.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		switch _, err := tx.Sessions().ByID(ctx, id); {
		case records.NotFound(err):
		case err != nil:
			return out, err
		default:
			continue
		}
		// The machine of a prebuild that is under way has its name.
		if p, err := tx.Prebuilds().ByID(ctx, id); err == nil && !p.Status.Final() {
			continue
		}
		found(nixspace.Garbage{Name: "session " + string(id), Size: a.SessionSize(ctx, id), Reason: "no session owns these files"}, func() error {
			if err := a.reap(ctx, id); err != nil {
				return err
			}
			return a.machines.Remove(ctx, id)
		})
	}
	keeper, ok := a.machines.(nixspace.SnapshotKeeper)
	if !ok {
		return out, nil
	}
	infos, err := keeper.Snapshots(ctx)
	if err != nil {
		return out, fmt.Errorf("list the snapshots of this host: %w", err)
	}
	rows, err := tx.Snapshots().List(ctx, nixspace.SnapshotFilter{})
	if err != nil {
		return out, err
	}
	known := map[nixspace.ID]bool{}
	for _, s := range rows {
		known[s.ID] = true
	}
	for _, i := range infos {
		if !known[i.ID] {
			found(nixspace.Garbage{Name: "snapshot " + string(i.ID), Size: i.Size, LastUsed: i.CreatedAt, Reason: "no snapshot owns these files"}, func() error {
				return keeper.RemoveSnapshot(ctx, i.ID)
			})
		}
	}
	if remove {
		a.collectSnapshots(ctx) // those of forks that are over
	}
	return out, nil
}

// SessionSize returns how many bytes a session's files hold on this host; 0 where
// that is not known.
func (a *UseCases) SessionSize(ctx context.Context, id nixspace.ID) int64 {
	if c, ok := a.machines.(nixspace.GarbageCollector); ok {
		if n, err := c.SessionSize(ctx, id); err == nil {
			return n
		}
	}
	return 0
}
