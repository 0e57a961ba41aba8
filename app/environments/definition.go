package environments

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/flake"
	"github.com/nixspace/nixspace/env/manifest"
)

// system is the platform that environments are made for, as Nix names it.
const system = "x86_64-linux"

// Definition is a manifest with all that follows from it.
type Definition struct {
	text      string
	Resolved  *manifest.Resolved
	canonical []byte
	hash      string
	flake     string
	lock      string
	drvPath   string
	outPath   string
	present   bool // all packages are in the store, and so is the base system
}

// derivationName is the name of every environment in the store. It is the same for all
// projects, so that equal manifests are one path everywhere: what was built of one, and
// the snapshot that its sessions start from, is there for all.
const derivationName = "nixspace-env"

// define resolves a manifest's text and writes its derivation.
func (a *UseCases) define(ctx context.Context, text string) (*Definition, error) {
	m, err := manifest.Parse(manifest.FileName, []byte(text))
	if err != nil {
		return nil, err
	}
	offers, err := a.packages.Offers(ctx)
	if err != nil {
		return nil, err
	}
	resolved, err := manifest.Resolve(m, system, offers)
	if err != nil {
		return nil, err
	}
	d := &Definition{
		text: text, Resolved: resolved, canonical: resolved.Canonical().JSON(), hash: resolved.Hash(),
		present: builds.AllPresent(offers, resolved.Attrs()),
	}
	if m.Flake != nil {
		return d, a.defineFlake(ctx, d)
	}
	source, err := a.packages.Source(ctx)
	if err != nil {
		return nil, err
	}
	if d.flake, d.lock, err = flake.Render(derivationName, resolved, source); err != nil {
		return nil, err
	}
	d.drvPath, d.outPath, err = a.packages.Instantiate(ctx, derivationName, resolved.Attrs())
	return d, err
}

// Redefine makes edits in a version's manifest.
func (a *UseCases) Redefine(ctx context.Context, v *nixspace.Version, edits []Edit) (*Definition, error) {
	text, err := edited(v, edits)
	if err != nil {
		return nil, err
	}
	return a.define(ctx, text)
}

// edited returns the text of a version's manifest with edits made in it.
func edited(v *nixspace.Version, edits []Edit) (string, error) {
	if len(edits) > records.MaxEdits {
		return "", nixspace.Errorf(nixspace.KindLimit, "too_many_edits", "%d edits at once are too many: %d are allowed", len(edits), records.MaxEdits)
	}
	es := make([]manifest.Edit, len(edits))
	for i, e := range edits {
		es[i] = manifest.Edit{Op: e.Op, Key: e.Key, Value: e.Value}
	}
	return manifest.Apply(v.Manifest, es)
}

// definitionOf returns the definition of a version as it was made: nothing is
// resolved anew.
func (a *UseCases) definitionOf(ctx context.Context, v *nixspace.Version) (*Definition, error) {
	resolved, err := records.Restore(v)
	if err != nil {
		return nil, err
	}
	d := &Definition{
		text: v.Manifest, Resolved: resolved, canonical: v.Canonical, hash: v.ManifestHash,
		flake: v.FlakeContent, lock: v.FlakeLock, drvPath: v.DrvPath, outPath: v.OutPath,
	}
	d.present, err = a.builds.Present(ctx, v)
	return d, err
}

// changesFrom returns what d changes in a version; nil stands for nothing at all.
func (d *Definition) changesFrom(v *nixspace.Version) ([]nixspace.Change, error) {
	var before *manifest.Resolved
	if v != nil {
		var err error
		if before, err = records.Restore(v); err != nil {
			return nil, err
		}
	}
	changes := manifest.Diff(before, d.Resolved)
	nixspace.SortChanges(changes)
	return changes, nil
}
