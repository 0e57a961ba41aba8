package transfer

import (
	"context"
	"io"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/bundle"
)

// paths makes the store paths of the file valid, and roots them.
func (m *importer) paths(ctx context.Context) error {
	if len(m.idx.Paths) == 0 {
		return nil
	}
	store, ok := m.packages.(StorePaths)
	if !ok {
		return noStore()
	}
	for _, r := range m.idx.Roots {
		if r.Name == bundle.RootEnvironment && r.Path != m.head.OutPath {
			return nixspace.Errorf(nixspace.KindInvalid, bundle.CodeInvalid, "the file brings %s, which is not its environment", r.Path)
		}
	}
	if err := m.findMissing(ctx, store); err != nil || len(m.missing) == 0 {
		return err
	}
	_, err := m.pass(bundle.Visitor{Path: func(p bundle.Path, nar io.Reader) error {
		if !m.missing[p.Path] {
			return ctx.Err()
		}
		return store.AddNAR(ctx, p.Info(), nar)
	}})
	if err != nil {
		return err
	}
	for _, r := range m.idx.Roots {
		name := r.Name + "-" + builds.StoreHash(r.Path)
		if r.Name == bundle.RootEnvironment {
			name = builds.RootName(m.head)
		}
		if err := store.Root(ctx, name, r.Path); err != nil {
			return err
		}
	}
	return nil
}

func (m *importer) findMissing(ctx context.Context, store StorePaths) error {
	var all []string
	for _, p := range m.idx.Paths {
		all = append(all, p.Path)
	}
	valid, err := store.ValidPaths(ctx, all)
	if err != nil {
		return err
	}
	here := make(map[string]bool, len(valid))
	for _, p := range valid {
		here[p] = true
	}
	m.missing = map[string]bool{}
	var size int64
	unproved := 0
	for _, p := range m.idx.Paths {
		if here[p.Path] {
			continue
		}
		m.missing[p.Path] = true
		size += p.NarSize
		if p.CA == "" { // otherwise Nix itself proves that the path is its content's
			unproved++
		}
	}
	if here[m.head.OutPath] && !m.in.Trust {
		if err := m.known(ctx); err != nil {
			return err
		}
	}
	if unproved > 0 && !m.in.Trust {
		return nixspace.Errorf(nixspace.KindInvalid, "closure_untrusted",
			"the file brings %d store paths (%d MiB) that were built elsewhere, and nobody can check from what", unproved, size>>20).
			WithHint("if you trust who made the file, import it with --trust")
	}
	return nil
}

// known makes sure that an environment that is in the store already is the output
// of the derivation that the file says. Otherwise a file could pass off any path
// that is here, somebody else's among them, as what its manifest comes to.
func (m *importer) known(ctx context.Context) error {
	tx, err := m.records.Read(ctx)
	if err != nil {
		return err
	}
	r, err := tx.Versions().Realisation(ctx, m.head.DrvPath)
	if err == nil && r.OutPath == m.head.OutPath {
		return nil
	}
	if err != nil && !records.NotFound(err) {
		return err
	}
	infos, err := m.packages.Closure(ctx, m.head.OutPath)
	if err != nil {
		return err
	}
	for _, i := range infos {
		if i.Path == m.head.OutPath && i.Deriver != "" && i.Deriver == m.head.DrvPath {
			return nil
		}
	}
	return nixspace.Errorf(nixspace.KindInvalid, "output_unproved",
		"the file says that %s is its environment, which is here, but nothing here shows that it was built from what the file says", m.head.OutPath).
		WithHint("if you trust who made the file, import it with --trust")
}
