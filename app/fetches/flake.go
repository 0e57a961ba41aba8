package fetches

import (
	"context"
	"io/fs"
	"path"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/flake"
	"github.com/nixspace/nixspace/env/manifest"
)

// FlakeQuery asks for a manifest that is made of the flake of stored code.
type FlakeQuery struct {
	Workspace string
	Dir       string   // the flake's folder in the code; empty for the code's own
	Include   []string // further files: see [flake.Collect]
	Overrides []FlakeOverride
}

// FlakeOverride replaces an input of a flake.
type FlakeOverride struct{ Input, By string }

// FlakeManifest returns a nixspace.toml with the flake that stored code has in it, and
// what a nixspace.toml beside the flake says. Nothing is evaluated. It fails as
// [flake.Collect] does.
func (u *UseCases) FlakeManifest(ctx context.Context, in FlakeQuery) (string, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return "", err
	}
	if u.cfg.Trees == nil {
		return "", missing()
	}
	if len(in.Include) > records.MaxEdits || len(in.Overrides) > records.MaxEdits {
		return "", nixspace.Errorf(nixspace.KindLimit, "too_many_edits", "more than %d files or inputs are too many", records.MaxEdits)
	}
	tree, err := u.cfg.Trees.Tree(ctx, in.Workspace)
	if err != nil {
		return "", err
	}
	defer tree.Close()
	dir := path.Clean(in.Dir)
	if !fs.ValidPath(dir) {
		return "", nixspace.Errorf(nixspace.KindInvalid, "flake_missing", "%.80q is no folder of the code", in.Dir)
	}
	root, err := fs.Sub(tree, dir)
	if err != nil {
		return "", err
	}
	f := manifest.Flake{Inputs: map[string]string{}}
	if f.Files, err = flake.Collect(root, in.Include); err != nil {
		return "", err
	}
	for _, o := range in.Overrides {
		f.Inputs[o.Input] = o.By
	}
	own, err := ownManifest(root)
	if err != nil {
		return "", err
	}
	return manifest.WithFlake(own, f)
}
