package fetches

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
	"github.com/nixspace/nixspace/env/stack/plan"
)

// maxManifest bounds a manifest that code brings, in bytes.
const maxManifest = 1 << 20

// Detection says what environment code needs, and why.
type Detection struct {
	// Manifest is a nixspace.toml: the code's own, or one that was made of what its
	// other files say.
	Manifest string
	// Own reports whether it is the code's own. There are no reasons then.
	Own       bool
	Choices   []plan.Choice
	Conflicts []string
	Lacks     []string
	Notes     []string
	// Defined are environments that the code has in other tools' formats.
	Defined []plan.Defined
}

// Detect looks into stored code. Name is the project's, for what is named after
// it.
func (u *UseCases) Detect(ctx context.Context, workspace, name string) (*Detection, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nil, err
	}
	if u.cfg.Trees == nil {
		return nil, missing()
	}
	tree, err := u.cfg.Trees.Tree(ctx, workspace)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	own, err := ownManifest(tree)
	if err != nil || own != "" {
		return &Detection{Manifest: own, Own: true}, err
	}
	report, err := stack.Detect(tree)
	if err != nil {
		return nil, err
	}
	offers, err := u.cfg.Packages.Offers(ctx)
	if err != nil {
		return nil, err
	}
	p, err := plan.Make(report, offers, plan.Options{Name: name})
	if err != nil {
		return nil, err
	}
	d := &Detection{Manifest: p.Text, Choices: p.Choices, Notes: p.Notes, Defined: p.Defined}
	for _, c := range p.Conflicts {
		d.Conflicts = append(d.Conflicts, c.String())
	}
	for _, l := range p.Lacks {
		d.Lacks = append(d.Lacks, l.String())
	}
	return d, nil
}

// ownManifest returns the code's nixspace.toml, or "".
func ownManifest(tree fs.FS) (string, error) {
	info, err := fs.Stat(tree, manifest.FileName)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return "", nil
	}
	if err == nil && info.Size() > maxManifest {
		return "", nixspace.Errorf(nixspace.KindLimit, "manifest_too_large", "the code's %s is larger than 1 MiB", manifest.FileName)
	}
	var b []byte
	if err == nil {
		b, err = fs.ReadFile(tree, manifest.FileName)
	}
	if err != nil {
		return "", fmt.Errorf("read the code's manifest: %w", err)
	}
	return string(b), nil
}
