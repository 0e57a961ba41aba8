package catalog

import (
	"context"
	"errors"
	"slices"

	"github.com/nixspace/nixspace"
)

// Build makes packages valid in the store and runs each once: a package counts as
// built only when its programs work. Their sources must be there (see
// [Catalog.Fetch]). What was built and run before is neither built nor run again.
// All of them are rooted.
//
// It fails with code "build_failed", or "catalog_smoke_failed" where a package was
// built but does not work.
func (c *Catalog) Build(ctx context.Context, attrs []string, progress nixspace.ProgressFunc) error {
	_, x, err := c.current(ctx)
	if err != nil {
		return err
	}
	valid, err := c.valid(ctx, x)
	if err != nil {
		return err
	}
	attrs = slices.Compact(slices.Sorted(slices.Values(attrs)))
	var drvs, smokes []string
	for _, a := range attrs {
		e, err := x.entry(a)
		if err != nil {
			return err
		}
		if !valid[e.Out] {
			drvs = append(drvs, e.Drv)
		}
		if e.SmokeOut != "" && !valid[e.SmokeOut] {
			smokes = append(smokes, e.SmokeDrv)
		}
	}
	if len(drvs) > 0 {
		if err := c.cfg.Engine.Realise(ctx, progress, drvs...); err != nil {
			return err
		}
	}
	if len(smokes) > 0 {
		if err := c.cfg.Engine.Realise(ctx, smokePhase(progress), smokes...); err != nil {
			return smokeFailure(err)
		}
	}
	return c.root(ctx, x, attrs, len(drvs)+len(smokes) == 0)
}

// smokePhase reports builds as smoke runs.
func smokePhase(progress nixspace.ProgressFunc) nixspace.ProgressFunc {
	return func(p nixspace.Progress) {
		if p.Phase == "build" {
			p.Phase = "smoke"
		}
		progress.Report(p)
	}
}

func smokeFailure(err error) error {
	var failed *nixspace.Error
	if !errors.As(err, &failed) || failed.Kind != nixspace.KindBuild {
		return err
	}
	e := *failed
	e.Code = CodeSmokeFailed
	e.Message = "a package was built, but its programs do not work on this machine: " + e.Message
	return &e
}

// root keeps packages, and the tools that further builds need, from the garbage
// collector. Where nothing was built, only roots that are missing are made.
func (c *Catalog) root(ctx context.Context, x *index, attrs []string, missingOnly bool) error {
	want := map[string]string{}
	for _, a := range attrs {
		e, err := x.entry(a)
		if err != nil {
			return err
		}
		want["catalog/unit/"+a] = e.Out
		if e.SmokeOut != "" {
			want["catalog/smoke/"+a] = e.SmokeOut
		}
	}
	for name, e := range x.Tools {
		want["catalog/tool/"+name] = e.Out
	}
	have, err := c.cfg.Engine.Roots(ctx)
	if err != nil {
		return err
	}
	for name, path := range want {
		if have[name] == path && missingOnly {
			continue
		}
		err := c.cfg.Engine.Root(ctx, name, path)
		if nixspace.ErrorKind(err) == nixspace.KindNotFound {
			continue // a tool that nothing needed yet
		}
		if err != nil {
			return err
		}
	}
	return nil
}
