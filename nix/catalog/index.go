package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/derivation"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix"
)

// index is the evaluated catalog: what each attribute is, and the graph of
// derivations behind it. It depends on nothing but the tree.
type index struct {
	Packages map[string]indexEntry `json:"packages"`
	Base     indexEntry            `json:"base"`
	Tools    map[string]indexEntry `json:"tools"`
	// Graph has every derivation that any of these needs, by its path.
	Graph map[string]node `json:"graph"`
}

// indexEntry is what flake/default.nix says of an attribute, in its "index".
type indexEntry struct {
	Version     string `json:"version,omitempty"`
	Family      string `json:"family,omitempty"`
	Description string `json:"description,omitempty"`
	Default     bool   `json:"default,omitempty"`
	Drv         string `json:"drv"`
	Out         string `json:"out"`
	SmokeDrv    string `json:"smokeDrv,omitempty"`
	SmokeOut    string `json:"smokeOut,omitempty"`
}

// node is one derivation.
type node struct {
	Out    string   `json:"out"`
	Inputs []string `json:"inputs,omitempty"`
	// Source is the lock's key of the file that the output is; such a derivation
	// cannot be built. "seed" for the seed.
	Source string `json:"source,omitempty"`
}

// seedKey stands for the seed among sources.
const seedKey = "seed"

// entry returns an attribute of the index.
func (x *index) entry(attr string) (indexEntry, error) {
	if attr == BaseAttr {
		return x.Base, nil
	}
	if e, ok := x.Packages[attr]; ok {
		return e, nil
	}
	return indexEntry{}, nixspace.Errorf(nixspace.KindNotFound, CodePackageUnknown, "the catalog has no package %q", attr).
		WithHint("list what there is with: nixspace catalog list")
}

// ensureIndex evaluates the catalog, unless that was done before. c.mu is held.
func (c *Catalog) ensureIndex(ctx context.Context) error {
	if c.index != nil && c.index.present() {
		return nil
	}
	if err := c.ensureTree(ctx); err != nil {
		return err
	}
	file := filepath.Join(c.cfg.Dir, "index-"+c.tree.narHash[:32]+".json")
	if x, err := readIndex(file); err == nil && x.present() {
		c.index = x
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("cannot use the cached package index, so it is made again", "file", file, "error", err)
	}
	x, err := c.evaluate(ctx)
	if err != nil {
		return err
	}
	if err := c.rootIndex(ctx, x); err != nil {
		return err
	}
	b, err := json.Marshal(x)
	if err != nil {
		return fmt.Errorf("write the package index: %w", err)
	}
	if err := writeFile(file, b); err != nil {
		return fmt.Errorf("write the package index: %w", diskFull(err, "the package index"))
	}
	c.index = x
	return nil
}

func readIndex(file string) (*index, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var x index
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, err
	}
	if len(x.Packages) == 0 {
		return nil, errors.New("it lists nothing")
	}
	return &x, nil
}

// present reports whether the derivations are in the store. They are rooted, so
// only somebody who deletes roots takes them away.
func (x *index) present() bool {
	for _, e := range x.Packages {
		if _, err := os.Lstat(e.Drv); err != nil {
			return false
		}
	}
	_, err := os.Lstat(x.Base.Drv)
	return err == nil
}

// evaluate runs Nix over the whole catalog, which writes its derivations to the
// store, and reads them.
func (c *Catalog) evaluate(ctx context.Context) (*index, error) {
	out, err := c.cfg.Engine.Run(ctx, nix.Command{Args: []string{"eval", "--json", "--file", c.tree.path + "/default.nix", "index"}})
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, nixspace.Errorf(nixspace.KindInternal, CodeEvaluation, "Nix cannot evaluate the catalog: %w", err)
	}
	var x index
	if err := json.Unmarshal(out, &x); err != nil {
		return nil, fmt.Errorf("read the evaluated catalog: %w", err)
	}
	x.Graph = map[string]node{}
	sources := map[string]string{c.tree.lock.Seed.StorePath(): seedKey}
	for key, s := range c.tree.lock.Sources {
		sources[s.StorePath()] = key
	}
	for _, e := range x.all() {
		for _, drv := range []string{e.Drv, e.SmokeDrv} {
			if drv == "" {
				continue
			}
			if err := x.readGraph(drv, sources); err != nil {
				return nil, fmt.Errorf("read the evaluated catalog: %w", err)
			}
		}
	}
	return &x, nil
}

func (x *index) all() []indexEntry {
	all := slices.Collect(maps.Values(x.Packages))
	all = append(all, x.Base)
	return append(all, slices.Collect(maps.Values(x.Tools))...)
}

func (x *index) readGraph(drv string, sources map[string]string) error {
	if _, ok := x.Graph[drv]; ok {
		return nil
	}
	f, err := os.Open(drv)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := derivation.ReadDerivation(f)
	if err != nil {
		return fmt.Errorf("%s: %w", drv, err)
	}
	out, ok := d.Outputs["out"]
	if !ok {
		return fmt.Errorf("%s has no output", drv)
	}
	n := node{Out: out.Path}
	if out.HashAlgorithm != "" {
		if n.Source = sources[out.Path]; n.Source == "" {
			return nixspace.Errorf(nixspace.KindInternal, CodeUnpinned, "%s is in no lock", out.Path)
		}
	}
	n.Inputs = slices.Sorted(maps.Keys(d.InputDerivations))
	x.Graph[drv] = n
	for _, in := range n.Inputs {
		if err := x.readGraph(in, sources); err != nil {
			return err
		}
	}
	return nil
}

// rootIndex keeps the catalog's derivations from the garbage collector, by one
// file in the store that refers to them.
func (c *Catalog) rootIndex(ctx context.Context, x *index) error {
	refs := slices.Sorted(maps.Keys(x.Graph))
	path, err := c.cfg.Engine.Store().AddText(ctx, "nixspace-catalog-index", []byte(strings.Join(refs, "\n")+"\n"), refs)
	if err != nil {
		return fmt.Errorf("root the catalog's derivations: %w", err)
	}
	return c.cfg.Engine.Root(ctx, "catalog/index/"+filepath.Base(c.tree.path)[:32], path)
}

// outs returns the outputs of the whole graph, sorted.
func (x *index) outs() []string {
	outs := make([]string, 0, len(x.Graph))
	for _, n := range x.Graph {
		outs = append(outs, n.Out)
	}
	slices.Sort(outs)
	return slices.Compact(outs)
}

// missing returns the sources that building the derivations still needs, sorted:
// it looks behind no output that is valid.
func (x *index) missing(valid map[string]bool, drvs ...string) []string {
	seen := map[string]bool{}
	var keys []string
	var visit func(drv string)
	visit = func(drv string) {
		n, ok := x.Graph[drv]
		if !ok || seen[drv] || valid[n.Out] {
			return
		}
		seen[drv] = true
		if n.Source != "" {
			keys = append(keys, n.Source)
			return
		}
		for _, in := range n.Inputs {
			visit(in)
		}
	}
	for _, d := range drvs {
		visit(d)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// valid asks the store which outputs of the catalog are there.
func (c *Catalog) valid(ctx context.Context, x *index) (map[string]bool, error) {
	paths, err := c.cfg.Engine.Store().ValidPaths(ctx, x.outs())
	if err != nil {
		return nil, fmt.Errorf("ask the store for the catalog's packages: %w", err)
	}
	set := make(map[string]bool, len(paths))
	for _, p := range paths {
		set[p] = true
	}
	return set, nil
}

// Offers returns every package of the catalog, sorted by attribute.
func (c *Catalog) Offers(ctx context.Context) ([]nixspace.Package, error) {
	lock, x, err := c.current(ctx)
	if err != nil {
		return nil, err
	}
	valid, err := c.valid(ctx, x)
	if err != nil {
		return nil, err
	}
	offers := make([]nixspace.Package, 0, len(x.Packages))
	for _, attr := range slices.Sorted(maps.Keys(x.Packages)) {
		e := x.Packages[attr]
		p := nixspace.Package{
			Attr: attr, Family: e.Family, Version: e.Version, Description: e.Description,
			DrvPath: e.Drv, OutPath: e.Out, Default: e.Default, Present: valid[e.Out],
		}
		for _, key := range x.missing(valid, e.Drv) {
			p.Download += lock.size(key)
		}
		offers = append(offers, p)
	}
	return offers, nil
}

// size returns the download size of a source.
func (l *Lock) size(key string) int64 {
	if key == seedKey {
		key = l.Seed.Source
	}
	return l.Sources[key].Size
}

// Search returns the packages whose attribute, family or description contains
// every word of a query, best first: an exact name, then a name that begins with
// the query, then the rest; limit of them, or all when it is 0.
func (c *Catalog) Search(ctx context.Context, query string, limit int) ([]nixspace.Package, error) {
	offers, err := c.Offers(ctx)
	if err != nil {
		return nil, err
	}
	query = strings.ToLower(strings.TrimSpace(query))
	words := strings.Fields(query)
	rank := func(p nixspace.Package) int {
		attr, family := strings.ToLower(p.Attr), strings.ToLower(p.Family)
		text := attr + " " + family + " " + strings.ToLower(p.Description)
		for _, w := range words {
			if !strings.Contains(text, w) {
				return -1
			}
		}
		switch {
		case attr == query || family == query && p.Default:
			return 0
		case family == query:
			return 1
		case strings.HasPrefix(attr, query):
			return 2
		}
		return 3
	}
	found := slices.DeleteFunc(offers, func(p nixspace.Package) bool { return rank(p) < 0 })
	slices.SortStableFunc(found, func(a, b nixspace.Package) int { return rank(a) - rank(b) })
	if limit > 0 && len(found) > limit {
		found = found[:limit]
	}
	return found, nil
}

// Base returns the guest's base system.
func (c *Catalog) Base(ctx context.Context) (nixspace.Package, error) {
	_, x, err := c.current(ctx)
	if err != nil {
		return nixspace.Package{}, err
	}
	return nixspace.Package{Attr: BaseAttr, Family: BaseAttr, DrvPath: x.Base.Drv, OutPath: x.Base.Out}, nil
}
