package environments

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// lockName is the file of a flake that says what its inputs are.
const lockName = "flake.lock"

// defineFlake completes a definition whose manifest has a flake that a user brought:
// it evaluates the flake, keeps its lock in the manifest, and writes the derivation of
// what it came to with the manifest's own packages on top.
func (a *UseCases) defineFlake(ctx context.Context, d *Definition) error {
	flakes, err := a.builds.Flakes()
	if err != nil {
		return err
	}
	user := d.Resolved.Manifest.User()
	out, err := flakes.EvaluateFlake(ctx, *user)
	if err != nil {
		return err
	}
	if out.Lock != user.Files[lockName] {
		if d.text, err = manifest.Apply(d.text, []manifest.Edit{{
			Op: nixspace.ChangeSet, Key: manifest.FilePath(lockName), Value: manifest.Text(out.Lock),
		}}); err != nil {
			return err
		}
		if d.Resolved.Manifest, err = manifest.Parse(manifest.FileName, []byte(d.text)); err != nil {
			return err
		}
	}
	d.Resolved.Flake = manifest.FlakeOf(out)
	d.canonical, d.hash = d.Resolved.Canonical().JSON(), d.Resolved.Hash()
	d.flake, d.lock = user.Files["flake.nix"], out.Lock
	attrs := d.Resolved.Attrs()
	if d.drvPath, d.outPath, err = flakes.InstantiateFlake(ctx, derivationName, attrs, out); err != nil {
		return err
	}
	d.present = d.present && a.builds.FlakePresent(ctx, d.Resolved.Canonical())
	return nil
}
