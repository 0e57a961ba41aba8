package inspect

import (
	"context"
	"maps"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/closure"
	"github.com/nixspace/nixspace/env/manifest"
)

// DiffQuery asks for the difference between two versions.
type DiffQuery struct {
	// From is a reference. When it is empty, an environment that was branched from
	// another one is compared with that one, and anything else with the version
	// before it.
	From string
	To   string
	// ManifestOnly leaves the closures out; nothing has to be built for it.
	ManifestOnly bool
}

// Difference is the difference between two versions, at three depths.
type Difference struct {
	From *nixspace.Version // nil for nothing: To is a first version
	To   *nixspace.Version
	// FromRef and ToRef are what people call them.
	FromRef, ToRef string
	// Changes is the difference of the manifests by meaning, Edits the same as data
	// that makes From's manifest mean what To's does.
	Changes []nixspace.Change
	Edits   []manifest.Edit
	// Texts are the files of users' flakes that differ.
	Texts []TextDiff
	// Closure is nil where it was not asked for, and where a version is not built.
	Closure *closure.Diff
	// Unbuilt are the references, FromRef or ToRef, of versions that must be built
	// before their closures can be compared.
	Unbuilt []string
}

// TextDiff is how a file of a flake differs.
type TextDiff struct {
	Path string
	Diff string // in unified form
}

// texts compares files line by line.
func texts(from, to *manifest.Manifest) []TextDiff {
	var a, b map[string]string
	if from != nil && from.Flake != nil {
		a = from.Flake.Files
	}
	if to.Flake != nil {
		b = to.Flake.Files
	}
	var out []TextDiff
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if old, ok := a[name]; !ok || old != b[name] {
			out = append(out, TextDiff{name, string(diff.Diff("a/"+name, []byte(old), "b/"+name, []byte(b[name])))})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[name]; !ok {
			out = append(out, TextDiff{name, string(diff.Diff("a/"+name, []byte(a[name]), "b/"+name, nil))})
		}
	}
	return out
}

// Diff returns the difference between two versions.
func (a *UseCases) Diff(ctx context.Context, in DiffQuery) (*Difference, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	env, to, err := records.FindVersion(ctx, tx, in.To)
	if err != nil {
		return nil, err
	}
	c := &Difference{To: to, ToRef: RefOf(env, to, in.To)}
	if in.From == "" {
		c.From, c.FromRef, err = before(ctx, tx, env, to, in.To)
	} else if env, c.From, err = records.FindVersion(ctx, tx, in.From); err == nil {
		c.FromRef = RefOf(env, c.From, in.From)
	}
	if err != nil {
		return nil, err
	}
	if err := c.manifests(); err != nil || in.ManifestOnly {
		return c, err
	}
	return c, a.closures(ctx, tx, c)
}

// RefOf is what people call a version that somebody asked for by ref: by its
// environment's full name if that is what they wrote.
func RefOf(env *nixspace.Environment, v *nixspace.Version, ref string) string {
	if ref == env.Name || ref == env.Ref() || ref == string(env.ID) {
		return env.Ref()
	}
	if nixspace.ID(ref).Valid() {
		return records.Short(v.VersionHash)
	}
	return ref
}

// before returns what a version is compared with where nobody says with what.
func before(ctx context.Context, tx records.Tx, env *nixspace.Environment, v *nixspace.Version, ref string) (*nixspace.Version, string, error) {
	if env.ParentID != "" && RefOf(env, v, ref) == env.Ref() {
		parents, err := tx.Environments().ByIDs(ctx, env.ParentID)
		if err != nil {
			return nil, "", err
		}
		if len(parents) == 1 && parents[0].DeletedAt.IsZero() {
			from, err := records.OneVersion(ctx, tx, parents[0].Head)
			return from, parents[0].Ref(), err
		}
	}
	if len(v.Parents) == 0 {
		return nil, "", nil
	}
	found, err := tx.Versions().ByHash(ctx, v.Parents[0], 1)
	if err != nil {
		return nil, "", err
	}
	if len(found) == 0 {
		return nil, "", nixspace.Errorf(nixspace.KindNotFound, "version_unknown", "the version before %s is not here: %s", ref, records.Short(v.Parents[0])).
			WithHint("it was left out when this history was imported; name a version to compare with")
	}
	return &found[0], records.Short(found[0].VersionHash), nil
}

func (c *Difference) manifests() error {
	to, err := records.Restore(c.To)
	if err != nil {
		return err
	}
	if c.From == nil {
		c.Changes, c.Edits = manifest.Diff(nil, to), manifest.Edits(&manifest.Manifest{}, to.Manifest)
		c.Texts = texts(nil, to.Manifest)
		return nil
	}
	from, err := records.Restore(c.From)
	if err != nil {
		return err
	}
	c.Changes, c.Edits = manifest.Diff(from, to), manifest.Edits(from.Manifest, to.Manifest)
	c.Texts = texts(from.Manifest, to.Manifest)
	return nil
}

func (a *UseCases) closures(ctx context.Context, tx records.Tx, c *Difference) error {
	var from closure.Side
	if c.From != nil {
		side, built, err := a.side(ctx, tx, c.From)
		if err != nil {
			return err
		}
		if from = side; !built {
			c.Unbuilt = append(c.Unbuilt, c.FromRef)
		}
	}
	to, built, err := a.side(ctx, tx, c.To)
	if err != nil {
		return err
	}
	if !built && c.ToRef != c.FromRef {
		c.Unbuilt = append(c.Unbuilt, c.ToRef)
	}
	if len(c.Unbuilt) == 0 {
		c.Closure = closure.Compare(from, to)
	}
	return nil
}

// side reads the closure of a version, if it is built and still in the store.
func (a *UseCases) side(ctx context.Context, tx records.Tx, v *nixspace.Version) (side closure.Side, built bool, err error) {
	r, err := tx.Versions().Realisation(ctx, v.DrvPath)
	if records.NotFound(err) {
		return side, false, nil
	}
	if err != nil {
		return side, false, err
	}
	infos, err := a.packages.Closure(ctx, r.OutPath)
	if records.NotFound(err) {
		return side, false, nil
	}
	if err != nil {
		return side, false, err
	}
	c, err := records.Canonical(v)
	if err != nil {
		return side, false, err
	}
	side.Env = r.OutPath
	for name, p := range c.Flake.Named() {
		side.Roots = append(side.Roots, closure.Root{Name: "flake." + name, Attr: "flake." + name, Path: p.Path})
	}
	for attr, p := range c.Packages {
		side.Roots = append(side.Roots, closure.Root{Name: p.Family, Attr: attr, Path: p.Path})
	}
	side.Graph, err = closure.New(infos)
	return side, err == nil, err
}
