package app

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/flake"
	"github.com/nixspace/nixspace/env/manifest"
)

// system is the platform that environments are made for, as Nix names it.
const system = "x86_64-linux"

// definition is a manifest with all that follows from it.
type definition struct {
	text      string
	resolved  *manifest.Resolved
	canonical []byte
	hash      string
	flake     string
	lock      string
	drvPath   string
	outPath   string
	present   bool // all packages are in the store, and so is the base system
}

// derivationName is the name of a project's environments in the store.
func derivationName(slug string) string { return slug + "-env" }

// define resolves a manifest's text and writes its derivation.
func (a *App) define(ctx context.Context, slug, text string) (*definition, error) {
	m, err := manifest.Parse(manifest.FileName, []byte(text))
	if err != nil {
		return nil, err
	}
	offers, err := a.cfg.Packages.Offers(ctx)
	if err != nil {
		return nil, err
	}
	resolved, err := manifest.Resolve(m, system, offers)
	if err != nil {
		return nil, err
	}
	d := &definition{
		text: text, resolved: resolved, canonical: resolved.Canonical().JSON(), hash: resolved.Hash(),
		present: allPresent(offers, resolved.Attrs()),
	}
	source, err := a.cfg.Packages.Source(ctx)
	if err != nil {
		return nil, err
	}
	if d.flake, d.lock, err = flake.Render(derivationName(slug), resolved, source); err != nil {
		return nil, err
	}
	d.drvPath, d.outPath, err = a.cfg.Packages.Instantiate(ctx, derivationName(slug), resolved.Attrs())
	return d, err
}

// redefine makes edits in a version's manifest.
func (a *App) redefine(ctx context.Context, slug string, v *nixspace.Version, edits []Edit) (*definition, error) {
	text, err := edited(v, edits)
	if err != nil {
		return nil, err
	}
	return a.define(ctx, slug, text)
}

// edited returns the text of a version's manifest with edits made in it.
func edited(v *nixspace.Version, edits []Edit) (string, error) {
	if len(edits) > maxEdits {
		return "", nixspace.Errorf(nixspace.KindLimit, "too_many_edits", "%d edits at once are too many: %d are allowed", len(edits), maxEdits)
	}
	es := make([]manifest.Edit, len(edits))
	for i, e := range edits {
		es[i] = manifest.Edit{Op: e.Op, Key: e.Key, Value: e.Value}
	}
	return manifest.Apply(v.Manifest, es)
}

// definitionOf returns the definition of a version as it was made: nothing is
// resolved anew.
func (a *App) definitionOf(ctx context.Context, v *nixspace.Version) (*definition, error) {
	resolved, err := restore(v)
	if err != nil {
		return nil, err
	}
	d := &definition{
		text: v.Manifest, resolved: resolved, canonical: v.Canonical, hash: v.ManifestHash,
		flake: v.FlakeContent, lock: v.FlakeLock, drvPath: v.DrvPath, outPath: v.OutPath,
	}
	d.present, err = a.present(ctx, v)
	return d, err
}

// changesFrom returns what d changes in a version; nil stands for nothing at all.
func (d *definition) changesFrom(v *nixspace.Version) ([]nixspace.Change, error) {
	var before *manifest.Resolved
	if v != nil {
		var err error
		if before, err = restore(v); err != nil {
			return nil, err
		}
	}
	changes := manifest.Diff(before, d.resolved)
	nixspace.SortChanges(changes)
	return changes, nil
}

// restore returns a version's manifest as it was resolved when it was made.
func restore(v *nixspace.Version) (*manifest.Resolved, error) {
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return nil, fmt.Errorf("read version %s: %w", v.ID, err)
	}
	r, err := manifest.Restore(m, v.Canonical)
	if err != nil {
		return nil, fmt.Errorf("read version %s: %w", v.ID, err)
	}
	return r, nil
}

// canonical returns the canonical form of a version.
func canonical(v *nixspace.Version) (manifest.Canonical, error) {
	c, err := manifest.ReadCanonical(v.Canonical)
	if err != nil {
		return c, fmt.Errorf("read version %s: %w", v.ID, err)
	}
	return c, nil
}
