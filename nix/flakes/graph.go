package flakes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/derivation"
	"github.com/nix-community/go-nix/pkg/nar"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/catalog"
	"github.com/nixspace/nixspace/nix/daemon"
	"github.com/nixspace/nixspace/nix/evalbox"
)

// graph are the derivations that a flake comes to. They were written by a process
// that worked for somebody else, so nothing about them is taken for granted.
type graph struct {
	drvs  map[string]*derivation.Derivation
	texts map[string][]byte
	order []string          // paths, what is needed before what needs it
	outs  map[string]output // output path → what it is of
}

type output struct{ drv, name string }

func readGraph(res *evalbox.Result) (*graph, error) {
	g := &graph{drvs: map[string]*derivation.Derivation{}, texts: res.Derivations, outs: map[string]output{}}
	for path, text := range res.Derivations {
		if err := daemon.CheckStorePath(path); err != nil {
			return nil, fmt.Errorf("read a flake's derivations: %w", err)
		}
		d, err := derivation.ReadDerivation(bytes.NewReader(text))
		if err == nil && d.Name() == "" {
			err = errors.New("it has no name")
		}
		if err != nil {
			return nil, nixspace.Errorf(nixspace.KindInvalid, evalbox.CodeInvalid, "the flake makes a derivation that cannot be read: %s: %w", nixspace.StorePathName(path), err)
		}
		refs := append(slices.Clone(d.InputSources), slices.Collect(maps.Keys(d.InputDerivations))...)
		slices.Sort(refs)
		kind := strings.Join(append([]string{"text"}, slices.Compact(refs)...), ":")
		if daemon.FixedPath(kind, nixspace.StorePathName(path), sum(text)) != path {
			return nil, fmt.Errorf("read a flake's derivations: %s is not what its path says", path)
		}
		g.drvs[path] = d
		for name, o := range d.Outputs {
			g.outs[o.Path] = output{path, name}
		}
	}
	state := map[string]int{}
	var visit func(path string, depth int) error
	visit = func(path string, depth int) error {
		switch {
		case state[path] == 2:
			return nil
		case state[path] == 1 || depth > 5000:
			return errors.New("read a flake's derivations: they depend on each other without end")
		}
		d := g.drvs[path]
		if d == nil {
			return fmt.Errorf("read a flake's derivations: %s is missing", path)
		}
		state[path] = 1
		for _, in := range slices.Sorted(maps.Keys(d.InputDerivations)) {
			if err := visit(in, depth+1); err != nil {
				return err
			}
		}
		state[path] = 2
		g.order = append(g.order, path)
		return nil
	}
	return g, visit(res.DrvPath, 0)
}

// catalogBuilder is the builder of the catalog's sources: there is none of that name,
// because they are fetched by NixSpace.
const catalogBuilder = "builtin:missing-run-nixspace-catalog-fetch"

// check refuses derivations that would reach out of the sandbox of builds.
func (f *Flakes) check(ctx context.Context, g *graph, known func(string) bool) error {
	var fixed []string // outputs of derivations that may use the network
	of := map[string]*derivation.Derivation{}
	for _, path := range g.order {
		if known(path) {
			continue
		}
		d := g.drvs[path]
		name := strings.TrimSuffix(nixspace.StorePathName(path), ".drv")
		refuse := func(format string, args ...any) error {
			return nixspace.Errorf(nixspace.KindInvalid, CodeRefused, "the flake builds %s, which is not allowed: "+format, append([]any{name}, args...)...).
				WithHint("packages of the catalog and plain derivations can be built; everything else belongs into a session").
				WithDetail("derivation", name)
		}
		if d.Platform != system && d.Platform != "builtin" {
			return refuse("it is for %.40q, not for %s", d.Platform, system)
		}
		if strings.HasPrefix(d.Builder, "builtin:") && d.Builder != "builtin:buildenv" && d.Builder != catalogBuilder {
			return refuse("its builder is %.80q", d.Builder)
		}
		structured := map[string]any{}
		if text, ok := d.Env["__json"]; ok {
			if err := json.Unmarshal([]byte(text), &structured); err != nil {
				return refuse("its attributes are no JSON")
			}
		}
		for _, k := range []string{"__noChroot", "__impureHostDeps", "__impure", "__sandboxProfile", "impureEnvVars"} {
			_, plain := d.Env[k]
			if _, ok := structured[k]; ok || plain {
				return refuse("it sets %s, and so wants more of the machine than a build gets", k)
			}
		}
		for _, o := range d.Outputs {
			if o.HashAlgorithm == "" && o.Path != "" {
				continue
			}
			if o.Path == "" {
				return refuse("where its output will be is not known before it is built")
			}
			fixed = append(fixed, o.Path)
			of[o.Path] = d
		}
	}
	if len(fixed) == 0 {
		return nil
	}
	// One whose output is here will not be built.
	valid, err := f.cfg.Engine.Store().ValidPaths(ctx, fixed)
	if err != nil {
		return fmt.Errorf("ask the store for a flake's sources: %w", err)
	}
	for _, p := range fixed {
		if slices.Contains(valid, p) {
			continue
		}
		name := of[p].Name()
		if of[p].Builder == catalogBuilder {
			return nixspace.Errorf(nixspace.KindConflict, catalog.CodeRepinned, "the flake's lock names an older catalog, and %s of that is not to be had any more", name).
				WithHint("lock the flake anew: nixspace flake update, or remove its flake.lock")
		}
		return nixspace.Errorf(nixspace.KindInvalid, CodeRefused, "the flake downloads %s, and builds have no network here", name).
			WithHint("use a package of the catalog in its place, put the file into the flake, or download it in a session").
			WithDetail("derivation", name)
	}
	return nil
}

// store puts derivations and the files that they need into the store. Each must be
// what its path says.
func (f *Flakes) store(ctx context.Context, g *graph, sources map[string][]byte) error {
	store := f.cfg.Engine.Store()
	valid, err := store.ValidPaths(ctx, slices.Concat(g.order, slices.Collect(maps.Keys(sources))))
	if err != nil {
		return fmt.Errorf("ask the store for a flake's derivations: %w", err)
	}
	have := map[string]bool{}
	for _, p := range valid {
		have[p] = true
	}
	var todo []string
	for _, p := range slices.Sorted(maps.Keys(sources)) {
		if !have[p] {
			todo = append(todo, p)
		}
	}
	// A file that names others comes after them.
	for len(todo) > 0 {
		var left []string
		for _, p := range todo {
			ok, err := f.addSource(ctx, p, sources[p], have)
			if err != nil {
				return err
			}
			if !ok {
				left = append(left, p)
				continue
			}
			have[p] = true
		}
		if len(left) == len(todo) {
			return fmt.Errorf("add the files of a flake to the store: %s is not what its path says", left[0])
		}
		todo = left
	}
	for _, p := range g.order {
		if have[p] {
			continue
		}
		d := g.drvs[p]
		refs := append(slices.Clone(d.InputSources), slices.Collect(maps.Keys(d.InputDerivations))...)
		got, err := store.AddText(ctx, nixspace.StorePathName(p), g.texts[p], refs)
		if err != nil {
			return fmt.Errorf("add a flake's derivation to the store: %w", err)
		}
		if got != p {
			return fmt.Errorf("add a flake's derivation to the store: %s came as %s", got, p)
		}
	}
	return nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// addSource adds a tree or a file, in the one way in which it has the path that it
// came with: by its NAR, by its content, or as text that names other paths of the
// store. It reports whether there was such a way.
func (f *Flakes) addSource(ctx context.Context, path string, archive []byte, have map[string]bool) (bool, error) {
	store, name := f.cfg.Engine.Store(), nixspace.StorePathName(path)
	if daemon.FixedPath("source", name, sum(archive)) == path {
		_, err := store.AddFixed(ctx, name, daemon.Recursive, "sha256", bytes.NewReader(archive))
		return err == nil, err
	}
	content, err := plainFile(archive)
	if err != nil {
		return false, nil //nolint:nilerr // a tree has no other way
	}
	if daemon.FixedPath("output:out", name, sum([]byte("fixed:out:sha256:"+sum(content)+":"))) == path {
		_, err := store.AddFixed(ctx, name, daemon.Flat, "sha256", bytes.NewReader(content))
		return err == nil, err
	}
	var refs []string
	for _, p := range storePaths(string(content)) {
		if have[p] {
			refs = append(refs, p)
		}
	}
	kind := "text"
	if len(refs) > 0 {
		kind += ":" + strings.Join(refs, ":")
	}
	if daemon.FixedPath(kind, name, sum(content)) != path {
		return false, nil
	}
	_, err = store.AddText(ctx, name, content, refs)
	return err == nil, err
}

// plainFile returns the content of an archive of one file.
func plainFile(archive []byte) ([]byte, error) {
	r, err := nar.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h, err := r.Next()
	if err != nil {
		return nil, err
	}
	if h.Type != nar.TypeRegular || h.Executable || h.Path != "/" {
		return nil, errors.New("it is no plain file")
	}
	return io.ReadAll(r)
}
