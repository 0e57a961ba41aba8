package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/closure"
)

// RunBuild does the work of a queued build. It is what the build job calls; it
// can be called again after a crash, and a second call while one works waits for
// it. A build that failed is recorded as such, and is no error here: an error
// means that the outcome could not be recorded or that ctx ended, and that the
// build must be run again.
func (a *App) RunBuild(ctx context.Context, id nixspace.ID) error {
	ctx = asSystem(ctx)
	work, end, other := a.building.begin(ctx, id)
	if end == nil {
		select {
		case <-other.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer end()
	defer a.progress.forget(id)

	tx := a.cfg.Store.Read()
	b, err := tx.Builds().ByID(ctx, id)
	if err != nil || b.Status.Final() {
		return err
	}
	if b.Status == nixspace.BuildQueued {
		b.Status, b.StartedAt = nixspace.BuildRunning, a.now()
		if moved, err := tx.Builds().Transition(work, b, nixspace.BuildQueued); err != nil || !moved {
			return err
		}
	}
	log, err := a.openBuildLog(work, id)
	if err != nil {
		return err
	}
	r, buildErr := a.realise(work, tx, b, log)
	// What comes now must be recorded also when ctx has ended.
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	if buildErr != nil && work.Err() == nil {
		b.Error, b.ErrorCode = a.explain("build "+string(id), buildErr)
		log.line(b.Error)
	}
	if err := log.close(record); err != nil {
		a.log.Warn("cannot store a build's log", "build", id, "error", err)
	}
	if buildErr != nil && work.Err() != nil {
		if errors.Is(context.Cause(work), errSuperseded) {
			return nil // CancelBuild recorded it
		}
		b.Status, b.StartedAt = nixspace.BuildQueued, time.Time{}
		if _, err := tx.Builds().Transition(record, b, nixspace.BuildRunning); err != nil {
			return err
		}
		return fmt.Errorf("build %s was interrupted: %w", id, context.Cause(work))
	}
	return a.finishBuild(record, b, r)
}

// recordLimit bounds the writes that record an outcome after its context ended.
const recordLimit = 10 * time.Second

// finishBuild records the outcome of a build: its realisation, or why there is
// none.
func (a *App) finishBuild(ctx context.Context, b *nixspace.Build, r *nixspace.Realisation) error {
	b.FinishedAt = a.now()
	kind, message := "build.succeeded", "built"
	b.Status = nixspace.BuildSucceeded
	if r == nil {
		b.Status = nixspace.BuildFailed
		kind, message = "build.failed", "the build failed: "+firstLine(b.Error)
	}
	return a.write(ctx, func(actor Actor, tx Tx) error {
		if r != nil {
			if err := tx.Versions().PutRealisation(ctx, r); err != nil {
				return err
			}
		}
		moved, err := tx.Builds().Transition(ctx, b, nixspace.BuildRunning)
		if err != nil || !moved {
			return err
		}
		if err := a.endMerges(ctx, tx, b); err != nil {
			return err
		}
		return a.buildEvent(ctx, tx, actor, b, kind, message)
	})
}

// explain returns what people and programs are told of a failure. The text of a
// defect goes to the log only.
func (a *App) explain(doing string, err error) (text, code string) {
	var known *nixspace.Error
	if errors.As(err, &known) {
		return cleanText(known.Error()), known.Code
	}
	a.log.Error(doing, "error", err)
	return "NixSpace made a mistake; its log says more", "internal"
}

// realise makes a build's environment valid, re-reads what the store now holds
// and returns it as a realisation.
func (a *App) realise(ctx context.Context, tx Tx, b *nixspace.Build, log *buildLog) (*nixspace.Realisation, error) {
	v, err := oneVersion(ctx, tx, b.VersionID)
	if err != nil {
		return nil, err
	}
	c, err := canonical(v)
	if err != nil {
		return nil, err
	}
	attrs := c.Attrs()
	report := nixspace.ProgressFunc(func(p nixspace.Progress) {
		if p.Log != "" {
			log.line(p.Log)
			return
		}
		a.progress.publish(b.ID, p)
	})
	// By the name that it was made with: an imported version keeps the name of the
	// project that it comes from.
	drvPath, _, err := a.cfg.Packages.Instantiate(ctx, nixspace.StorePathName(v.OutPath), attrs)
	if err != nil && !notFound(err) {
		return nil, err
	}
	if err == nil && drvPath == v.DrvPath {
		if err := a.cfg.Packages.Realise(ctx, v.DrvPath, attrs, rootName(v), report); err != nil {
			return nil, err
		}
	} else if err := a.sourceMoved(ctx, v); err != nil {
		return nil, err
	}
	if err := a.ensureBase(ctx, c.Base, report); err != nil {
		return nil, err
	}
	return a.proof(ctx, v)
}

// sourceMoved looks after a version whose packages are not what the source
// offers now: it must be in the store already.
func (a *App) sourceMoved(ctx context.Context, v *nixspace.Version) error {
	if _, err := a.cfg.Packages.Closure(ctx, v.OutPath); err != nil {
		if !notFound(err) {
			return err
		}
		return nixspace.Errorf(nixspace.KindBuild, "source_changed",
			"version %s was made from packages that the source no longer offers", short(v.VersionHash)).
			WithHint("make a new version from today's packages, for example by setting one of its packages again")
	}
	return nil
}

// proof reads the closure of a version from the store and digests it.
func (a *App) proof(ctx context.Context, v *nixspace.Version) (*nixspace.Realisation, error) {
	infos, err := a.cfg.Packages.Closure(ctx, v.OutPath)
	if err != nil {
		return nil, err
	}
	r := &nixspace.Realisation{
		ManifestHash: v.ManifestHash, DrvPath: v.DrvPath, OutPath: v.OutPath,
		ClosureDigest: closure.Digest(infos), ClosureSize: closure.Size(infos), Paths: len(infos), RealisedAt: a.now(),
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

// realised returns the realisation of a version if the store still holds all of
// it; kind not_found otherwise.
func (a *App) realised(ctx context.Context, tx Tx, v *nixspace.Version) (*nixspace.Realisation, error) {
	r, err := tx.Versions().Realisation(ctx, v.DrvPath)
	if err != nil {
		return nil, err
	}
	if _, err := a.cfg.Packages.Closure(ctx, r.OutPath); err != nil {
		return nil, err
	}
	return r, nil
}

// rootName names what keeps a version's environment from the garbage collector.
// It goes by derivation, as realisations do.
func rootName(v *nixspace.Version) string { return "environment-" + storeHash(v.DrvPath) }
