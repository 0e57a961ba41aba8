package builds

import (
	"context"
	"fmt"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
	"github.com/nixspace/nixspace/env/closure"
)

// RunBuild does the work of a queued build. It is what the build job calls; it
// can be called again after a crash, and a second call while one works waits for
// it. A build that failed is recorded as such, and is no error here: an error
// means that the outcome could not be recorded or that ctx ended, and that the
// build must be run again.
func (a *UseCases) RunBuild(ctx context.Context, id nixspace.ID) error {
	ctx = nixspace.AsSystem(ctx)
	tx := a.records.Store.Read()
	var b *nixspace.Build
	var made *nixspace.Realisation
	return a.building.Run(ctx, id, work.Attempt{
		What: "build",
		Claim: func(ctx context.Context) (_ bool, err error) {
			if b, err = tx.Builds().ByID(ctx, id); err != nil || b.Status != nixspace.BuildQueued {
				return err == nil && !b.Status.Final(), err
			}
			b.Status, b.StartedAt = nixspace.BuildRunning, records.Now()
			return tx.Builds().Transition(ctx, b, nixspace.BuildQueued)
		},
		Do: func(ctx context.Context) error {
			defer a.progress.Forget(id)
			return work.Logged(ctx, tx.Builds(), id, a.log, func(log *work.Log) (err error) {
				made, err = a.realise(ctx, tx, b, log)
				return err
			})
		},
		Requeue: func(ctx context.Context) error {
			b.Status, b.StartedAt = nixspace.BuildQueued, time.Time{}
			_, err := tx.Builds().Transition(ctx, b, nixspace.BuildRunning)
			return err
		},
		Finish: func(ctx context.Context, err error) error {
			if err != nil {
				b.Error, b.ErrorCode = work.Explain(a.log, "build "+string(id), err)
			}
			return a.finishBuild(ctx, b, made)
		},
	})
}

// finishBuild records the outcome of a build: its realisation, or why there is
// none.
func (a *UseCases) finishBuild(ctx context.Context, b *nixspace.Build, r *nixspace.Realisation) error {
	b.FinishedAt = records.Now()
	kind, message := "build.succeeded", "built"
	b.Status = nixspace.BuildSucceeded
	if r == nil {
		b.Status = nixspace.BuildFailed
		kind, message = "build.failed", "the build failed: "+records.FirstLine(b.Error)
	}
	return a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		if r != nil {
			if err := tx.Versions().PutRealisation(ctx, r); err != nil {
				return err
			}
		}
		moved, err := tx.Builds().Transition(ctx, b, nixspace.BuildRunning)
		if err != nil || !moved {
			return err
		}
		if err := a.Ended(ctx, tx, b); err != nil {
			return err
		}
		if r != nil && a.Built != nil {
			if err := a.Built(ctx, tx, b.VersionID); err != nil {
				return err
			}
		}
		return a.buildEvent(ctx, tx, actor, b, kind, message)
	})
}

// realise makes a build's environment valid, re-reads what the store now holds
// and returns it as a realisation.
func (a *UseCases) realise(ctx context.Context, tx records.Tx, b *nixspace.Build, log *work.Log) (*nixspace.Realisation, error) {
	v, err := records.OneVersion(ctx, tx, b.VersionID)
	if err != nil {
		return nil, err
	}
	c, err := records.Canonical(v)
	if err != nil {
		return nil, err
	}
	attrs := c.Attrs()
	report := nixspace.ProgressFunc(func(p nixspace.Progress) {
		if p.Log != "" {
			log.Line(p.Log)
			return
		}
		a.progress.Publish(b.ID, p)
	})
	if c.Flake != nil {
		if err := a.realiseFlake(ctx, v, attrs, report); err != nil {
			return nil, err
		}
		if err := a.EnsureBase(ctx, c.Base, report); err != nil {
			return nil, err
		}
		return a.proof(ctx, v)
	}
	// By the name that it was made with: an imported version keeps the name of the
	// project that it comes from.
	drvPath, _, err := a.packages.Instantiate(ctx, nixspace.StorePathName(v.OutPath), attrs)
	if err != nil && !records.NotFound(err) {
		return nil, err
	}
	if err == nil && drvPath == v.DrvPath {
		if err := a.packages.Realise(ctx, v.DrvPath, attrs, RootName(v), report); err != nil {
			return nil, err
		}
	} else if err := a.sourceMoved(ctx, v); err != nil {
		return nil, err
	}
	if err := a.EnsureBase(ctx, c.Base, report); err != nil {
		return nil, err
	}
	return a.proof(ctx, v)
}

// sourceMoved looks after a version whose packages are not what the source
// offers now: it must be in the store already.
func (a *UseCases) sourceMoved(ctx context.Context, v *nixspace.Version) error {
	if _, err := a.packages.Closure(ctx, v.OutPath); err != nil {
		if !records.NotFound(err) {
			return err
		}
		return nixspace.Errorf(nixspace.KindBuild, "source_changed",
			"version %s was made from packages that the source no longer offers", records.Short(v.VersionHash)).
			WithHint("make a new version from today's packages, for example by setting one of its packages again")
	}
	return nil
}

// proof reads the closure of a version from the store and digests it.
func (a *UseCases) proof(ctx context.Context, v *nixspace.Version) (*nixspace.Realisation, error) {
	infos, err := a.packages.Closure(ctx, v.OutPath)
	if err != nil {
		return nil, err
	}
	r := &nixspace.Realisation{
		ManifestHash: v.ManifestHash, DrvPath: v.DrvPath, OutPath: v.OutPath,
		ClosureDigest: closure.Digest(infos), ClosureSize: closure.Size(infos), Paths: len(infos), RealisedAt: records.Now(),
	}
	found := false
	for _, i := range infos {
		found = found || i.Path == v.OutPath
	}
	if !found {
		return nil, fmt.Errorf("closure of %s: it is not part of it", v.OutPath)
	}
	return r, nil
}

// Realised returns the realisation of a version if the store still holds all of
// it; kind not_found otherwise.
func (a *UseCases) Realised(ctx context.Context, tx records.Tx, v *nixspace.Version) (*nixspace.Realisation, error) {
	r, err := tx.Versions().Realisation(ctx, v.DrvPath)
	if err != nil {
		return nil, err
	}
	if _, err := a.packages.Closure(ctx, r.OutPath); err != nil {
		return nil, err
	}
	return r, nil
}

// RootName names what keeps a version's environment from the garbage collector.
// It goes by derivation, as realisations do.
func RootName(v *nixspace.Version) string { return "environment-" + StoreHash(v.DrvPath) }
