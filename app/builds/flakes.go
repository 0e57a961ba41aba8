package builds

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
)

// Flakes is what a package source can do that also takes flakes of users. It is an
// optional ability of [Packages].
type Flakes interface {
	// EvaluateFlake evaluates a flake in a sandbox and returns what it comes to. It
	// builds nothing.
	EvaluateFlake(ctx context.Context, f nixspace.UserFlake) (*nixspace.FlakeOutput, error)
	// InstantiateFlake writes the derivation of an environment of packages of the
	// source and, after them in PATH, of what a flake came to.
	InstantiateFlake(ctx context.Context, name string, attrs []string, out *nixspace.FlakeOutput) (drvPath, outPath string, err error)
	// RealiseFlake makes such a derivation's output valid and roots it. It fails with
	// code "package_not_instantiated" where the store has lost the derivation.
	RealiseFlake(ctx context.Context, drvPath string, attrs []string, root string, progress nixspace.ProgressFunc) error
}

// Flakes returns the ability to use flakes of users; code "flakes_unavailable" where
// the package source has it not.
func (a *UseCases) Flakes() (Flakes, error) {
	f, ok := a.packages.(Flakes)
	if !ok {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "flakes_unavailable", "this server takes no flakes of users")
	}
	return f, nil
}

// flakePresent reports whether everything that a flake came to is in the store.
func (a *UseCases) flakePresent(ctx context.Context, c manifest.Canonical) (bool, error) {
	if c.Flake == nil {
		return true, nil
	}
	paths := append([]string{}, c.Flake.Uses...)
	for _, p := range c.Flake.Packages {
		paths = append(paths, p.Path)
	}
	if len(paths) == 0 {
		return true, nil
	}
	_, err := a.packages.Closure(ctx, paths...)
	if records.NotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// FlakePresent is for a version that is not made yet: whether everything that its
// flake came to is known to be in the store.
func (a *UseCases) FlakePresent(ctx context.Context, c manifest.Canonical) bool {
	ok, err := a.flakePresent(ctx, c)
	return ok && err == nil
}

// realiseFlake builds a version whose definition is a flake of a user. Its derivations
// may have been collected as garbage; evaluating the flake again brings them back, and
// the lock says what it is made of.
func (a *UseCases) realiseFlake(ctx context.Context, v *nixspace.Version, attrs []string, report nixspace.ProgressFunc) error {
	flakes, err := a.Flakes()
	if err != nil {
		return err
	}
	err = flakes.RealiseFlake(ctx, v.DrvPath, attrs, RootName(v), report)
	if !records.NotFound(err) {
		return err
	}
	if _, err := a.packages.Closure(ctx, v.OutPath); err == nil {
		return nil // only what it was built from is gone
	}
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return err
	}
	report.Report(nixspace.Progress{Job: "flake", Phase: "evaluate"})
	out, err := flakes.EvaluateFlake(ctx, *m.User())
	if err != nil {
		return err
	}
	drvPath, _, err := flakes.InstantiateFlake(ctx, nixspace.StorePathName(v.OutPath), attrs, out)
	if err != nil {
		return err
	}
	if drvPath != v.DrvPath {
		return a.sourceMoved(ctx, v)
	}
	return flakes.RealiseFlake(ctx, v.DrvPath, attrs, RootName(v), report)
}
