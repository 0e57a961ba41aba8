package prebuilds

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// RequestPrebuild makes an environment's code ready, unless that was done: it returns
// the prebuild of the manifest and the code that the environment has now, which may
// be good already, or under way. One that failed is tried again. With again, also a
// good one is made anew; sessions begin from the old one until then. It fails with
// code "setup_missing" where the manifest has no setup script.
func (u *UseCases) RequestPrebuild(ctx context.Context, ref string, again bool) (*nixspace.Prebuild, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if u.cfg.Jobs == nil {
		return nil, u.missing()
	}
	env, v, err := records.FindVersion(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	var p *nixspace.Prebuild
	err = u.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		wanted, err := describe(ctx, tx, env, v)
		if err != nil {
			return err
		}
		if wanted == nil {
			return nixspace.Errorf(nixspace.KindInvalid, "setup_missing", "the manifest of %s has no script %q, so there is nothing to prepare", env.Ref(), nixspace.SetupScript).
				WithHint("give it one: nixspace set %s scripts.%s='npm ci'", env.Ref(), nixspace.SetupScript)
		}
		if p, err = known(ctx, tx, wanted.Key, again); err != nil || p != nil {
			return err
		}
		p = wanted
		return u.queue(ctx, actor, tx, p)
	})
	return p, err
}

// known returns the prebuild of a key that is good or under way; only one that is
// under way with again. It returns nil where there is none.
func known(ctx context.Context, tx records.Tx, key string, again bool) (*nixspace.Prebuild, error) {
	all, err := tx.Prebuilds().List(ctx, nixspace.PrebuildFilter{Key: key})
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if !p.Status.Final() || !again && p.Status == nixspace.BuildSucceeded && usable(ctx, tx, &p) {
			return &p, nil
		}
	}
	return nil, nil
}

// usable reports whether the snapshot of a prebuild is there.
func usable(ctx context.Context, tx records.Tx, p *nixspace.Prebuild) bool {
	s, err := tx.Snapshots().ByID(ctx, p.Snapshot)
	return err == nil && s.State == nixspace.SnapshotReady
}

// queue queues a prebuild. Where somebody else just did, it becomes theirs.
func (u *UseCases) queue(ctx context.Context, actor nixspace.Actor, tx records.Tx, p *nixspace.Prebuild) error {
	p.CreatedBy = actor.ID
	err := tx.Prebuilds().Create(ctx, p)
	if records.IsCode(err, "prebuild_open") {
		open, err := tx.Prebuilds().List(ctx, nixspace.PrebuildFilter{Key: p.Key, Open: true})
		if err == nil && len(open) > 0 {
			*p = open[0]
		}
		return err
	}
	if err != nil {
		return err
	}
	if err := u.cfg.Jobs.EnqueuePrebuild(ctx, records.Plain(tx), p.ID); err != nil {
		return err
	}
	return event(ctx, tx, actor, p, "queued", "its setup is to be prepared")
}

// Prebuilds lists prebuilds, newest first: those of an environment, or all when ref
// is empty.
func (u *UseCases) Prebuilds(ctx context.Context, ref string) ([]nixspace.Prebuild, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	var f nixspace.PrebuildFilter
	if ref != "" {
		env, err := records.FindEnvironment(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		f.Environment = env.ID
	}
	return tx.Prebuilds().List(ctx, f)
}

// PrebuildByID returns one.
func (u *UseCases) PrebuildByID(ctx context.Context, id nixspace.ID) (*nixspace.Prebuild, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Prebuilds().ByID(ctx, id)
}

// Preparation says how the code of an environment, or a session's, stands.
type Preparation struct {
	// Prebuild is the one of the present manifest and code: the newest try; nil where
	// none was asked for.
	Prebuild *nixspace.Prebuild
	Commit   string // of the code; empty where it has none
	Source   string // of the code, in words
}

// Prepared says how the setup of a version of an environment stands. It returns nil
// where its manifest has no setup script.
func (u *UseCases) Prepared(ctx context.Context, ref string) (*Preparation, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	env, v, err := records.FindVersion(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	wanted, err := describe(ctx, tx, env, v)
	if err != nil || wanted == nil {
		return nil, err
	}
	code, err := tx.Code().Of(ctx, env.ID)
	if err != nil {
		return nil, err
	}
	all, err := tx.Prebuilds().List(ctx, nixspace.PrebuildFilter{Key: wanted.Key})
	if err != nil {
		return nil, err
	}
	out := &Preparation{Commit: code.Commit(), Source: code.Source}
	if len(all) > 0 {
		out.Prebuild = &all[0]
	}
	return out, nil
}

// BeganFrom returns the prebuild that a session began from, nil for none, and whether
// that was one of other code or another manifest.
func (u *UseCases) BeganFrom(ctx context.Context, s *nixspace.Session) (p *nixspace.Prebuild, earlier bool, err error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, false, err
	}
	p, earlier, err = tx.Prebuilds().BeganFrom(ctx, s.ID)
	if records.NotFound(err) {
		return nil, false, nil
	}
	return p, earlier, err
}

// CommitOf returns the commit of a prebuild's code; empty where it has none.
func (u *UseCases) CommitOf(ctx context.Context, p *nixspace.Prebuild) (string, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return "", err
	}
	f, err := tx.Code().FetchOf(ctx, p.Workspace)
	return (&nixspace.EnvironmentCode{Fetch: f}).Commit(), err
}

// PrebuildLog returns at most limit lines of a prebuild's log, those after the
// sequence number after.
func (u *UseCases) PrebuildLog(ctx context.Context, id nixspace.ID, after int64, limit int) ([]nixspace.BuildLogLine, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > work.LogPage {
		limit = work.LogPage
	}
	if _, err := tx.Prebuilds().ByID(ctx, id); err != nil {
		return nil, err
	}
	return tx.Prebuilds().Log(ctx, id, max(after, 0), limit)
}

// CancelPrebuild stops a prebuild. One that is final stays as it is.
func (u *UseCases) CancelPrebuild(ctx context.Context, id nixspace.ID) (*nixspace.Prebuild, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	p, err := tx.Prebuilds().ByID(ctx, id)
	if err != nil || p.Status.Final() {
		return p, err
	}
	err = u.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		c := *p
		c.Status, c.FinishedAt = nixspace.BuildCanceled, records.Now()
		c.Error, c.ErrorCode = "canceled by "+actor.Name, "canceled"
		moved, err := tx.Prebuilds().Transition(ctx, &c, nixspace.BuildQueued, nixspace.BuildRunning)
		if err != nil || !moved {
			return err
		}
		return event(ctx, tx, actor, &c, "canceled", "its setup was canceled")
	})
	if err != nil {
		return nil, err
	}
	u.running.Stop(ctx, id, work.ErrSuperseded)
	if u.cfg.Jobs != nil {
		if err := u.cfg.Jobs.CancelPrebuild(ctx, id); err != nil {
			u.cfg.Log.Warn("cannot cancel a prebuild's job", "prebuild", id, "error", err)
		}
	}
	return tx.Prebuilds().ByID(ctx, id)
}

// RemovePrebuild deletes a prebuild that is final, with its snapshot and its log, and
// returns it as it was. Sessions that began from it have disks of their own.
func (u *UseCases) RemovePrebuild(ctx context.Context, id nixspace.ID) (*nixspace.Prebuild, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	p, err := tx.Prebuilds().ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	err = u.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		if err := tx.Prebuilds().Delete(ctx, id); err != nil {
			return err
		}
		return event(ctx, tx, actor, p, "removed", "a prebuild was removed")
	})
	if records.IsCode(err, "prebuild_busy") {
		return nil, nixspace.Errorf(nixspace.KindConflict, "prebuild_busy", "prebuild %s is %s", id, p.Status).WithHint("cancel it first: nixspace prebuild cancel %s", id)
	}
	if err != nil {
		return nil, err
	}
	u.machines.CollectSnapshots(nixspace.AsSystem(ctx))
	return p, nil
}

// CollectPrebuilds finds prebuilds that no session began from since before unused,
// and those that ended otherwise before; with remove, it removes them.
func (u *UseCases) CollectPrebuilds(ctx context.Context, unused time.Time, remove bool) ([]nixspace.Garbage, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	all, err := tx.Prebuilds().List(ctx, nixspace.PrebuildFilter{})
	if err != nil {
		return nil, err
	}
	var out []nixspace.Garbage
	for _, p := range all {
		if !p.Status.Final() || !p.UsedAt.Before(unused) {
			continue
		}
		g := nixspace.Garbage{Kind: nixspace.GarbagePrebuild, Name: p.Environment + " " + string(p.ID), LastUsed: p.UsedAt}
		switch p.Status {
		case nixspace.BuildSucceeded:
			if s, err := tx.Snapshots().ByID(ctx, p.Snapshot); err == nil {
				g.Size = s.Size - s.Shared
			}
			g.Reason = "no session began from it since " + p.UsedAt.Format(time.DateOnly)
		default:
			g.Reason = string(p.Status) + " on " + p.FinishedAt.Format(time.DateOnly)
		}
		if remove {
			switch _, err := u.RemovePrebuild(ctx, p.ID); {
			case records.NotFound(err) || nixspace.ErrorKind(err) == nixspace.KindConflict:
				continue
			case err != nil:
				g.Error = err.Error()
			default:
				g.Removed = true
			}
		}
		out = append(out, g)
	}
	return out, nil
}

// Reconcile queues again every prebuild that is not final. What is left of their
// machines is ended with that of sessions that are not there.
func (u *UseCases) Reconcile(ctx context.Context) error {
	if u.cfg.Jobs == nil {
		return nil
	}
	open, err := u.cfg.Records.Store.Read().Prebuilds().List(ctx, nixspace.PrebuildFilter{Open: true})
	if err != nil {
		return err
	}
	for _, p := range open {
		err := u.cfg.Records.Write(ctx, func(_ nixspace.Actor, tx records.Tx) error {
			if p.Status == nixspace.BuildRunning {
				p.Status, p.StartedAt = nixspace.BuildQueued, time.Time{}
				if moved, err := tx.Prebuilds().Transition(ctx, &p, nixspace.BuildRunning); err != nil || !moved {
					return err
				}
			}
			return u.cfg.Jobs.EnqueuePrebuild(ctx, records.Plain(tx), p.ID)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
