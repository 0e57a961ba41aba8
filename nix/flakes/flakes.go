// Package flakes makes environments of flakes that users bring: it evaluates them in
// a sandbox, checks what they come to, puts that into the Nix store, and builds it
// with the packages of the catalog.
package flakes

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/catalog"
	"github.com/nixspace/nixspace/nix/evalbox"
)

// system is the platform that environments are made for.
const system = "x86_64-linux"

// The names that an input may have without an address, and the one that an override
// may give.
const catalogName = "catalog"

var names = []string{"nixpkgs", "nixspace", catalogName}

// CodeRefused says that a flake makes something that is not allowed to be built here.
const CodeRefused = "flake_derivation_refused"

// Config says what flakes are evaluated and built with. Engine and Catalog are
// required.
type Config struct {
	Engine  *nix.Engine
	Catalog *catalog.Catalog
	Limits  evalbox.Limits
	// Settings are further settings of the Nix that evaluates.
	Settings map[string]string
	// Inputs fetches inputs that a flake's lock names and that are not in the store;
	// nil for nothing.
	Inputs Fetcher
	Log    *slog.Logger
}

// Flakes evaluates and builds. It is safe for concurrent use.
type Flakes struct {
	cfg Config
	box *evalbox.Box
}

// New returns a Flakes. It starts no process.
func New(ctx context.Context, cfg Config) (*Flakes, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	bin, closure := cfg.Engine.Program(), []string(nil)
	if real, err := filepath.EvalSymlinks(bin); err == nil && strings.HasPrefix(real, nixspace.StoreDir+"/") {
		path := nixspace.StoreDir + "/" + strings.SplitN(strings.TrimPrefix(real, nixspace.StoreDir+"/"), "/", 2)[0]
		infos, err := cfg.Engine.Closure(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("find what Nix needs: %w", err)
		}
		for _, i := range infos {
			closure = append(closure, i.Path)
		}
		bin = real
	}
	return &Flakes{cfg: cfg, box: evalbox.New(evalbox.Config{
		Nix: bin, Closure: closure, Limits: cfg.Limits, Settings: cfg.Settings, Log: cfg.Log,
	})}, nil
}

// Probe reports whether flakes can be evaluated on this machine.
func (f *Flakes) Probe(ctx context.Context) error { return f.box.Probe(ctx) }

// EvaluateFlake evaluates a flake and puts the derivations that it comes to into the
// store. It builds nothing. It fails with the codes of package evalbox, and with
// [CodeRefused].
func (f *Flakes) EvaluateFlake(ctx context.Context, in nixspace.UserFlake) (*nixspace.FlakeOutput, error) {
	r, err := f.request(ctx, in)
	if err != nil {
		return nil, err
	}
	res, err := f.box.Evaluate(ctx, *r)
	if err != nil {
		return nil, err
	}
	known, err := f.cfg.Catalog.Derivations(ctx)
	if err != nil {
		return nil, err
	}
	g, err := readGraph(res)
	if err != nil {
		return nil, err
	}
	if err := f.check(ctx, g, known); err != nil {
		return nil, err
	}
	if err := f.store(ctx, g, res.Sources); err != nil {
		return nil, err
	}
	out := &nixspace.FlakeOutput{Attr: res.Attr, Description: res.Description, Lock: string(res.Lock)}
	return out, g.describe(res, out)
}

// request says what a flake may use.
func (f *Flakes) request(ctx context.Context, in nixspace.UserFlake) (*evalbox.Request, error) {
	source, err := f.cfg.Catalog.Source(ctx)
	if err != nil {
		return nil, err
	}
	own, _ := source.Locked["path"].(string)
	r := &evalbox.Request{Files: map[string][]byte{}, System: system, Names: map[string]string{}, Overrides: map[string]string{}}
	for name, text := range in.Files {
		r.Files[name] = []byte(text)
	}
	for _, n := range names {
		r.Names[n] = own
	}
	for input, by := range in.Overrides {
		if by != catalogName {
			return nil, nixspace.Errorf(nixspace.KindInvalid, evalbox.CodeInput, "the input %.80q cannot be replaced by %.80q", input, by).
				WithHint("inputs can be replaced by the catalog: --override-input %.80s=%s", input, catalogName)
		}
		r.Overrides[input] = own
	}
	// What the lock names by its content may be used where it is here.
	inputs, err := evalbox.LockedInputs(r.Files["flake.lock"], r.Overrides)
	if err != nil {
		return nil, err
	}
	here, err := f.bring(ctx, inputs)
	if err != nil {
		return nil, err
	}
	store := f.cfg.Engine.Store()
	for _, path := range append(here, own) {
		if slices.ContainsFunc(r.Trees, func(t evalbox.Tree) bool { return t.Path == path }) {
			continue
		}
		info, err := store.PathInfo(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("ask the store for a flake's input: %w", err)
		}
		if len(info.References) > 0 {
			continue // no source has any
		}
		r.Trees = append(r.Trees, evalbox.Tree{Path: path, NARHash: strings.TrimPrefix(info.NarHash, "sha256:"), NARSize: info.NarSize})
	}
	return r, nil
}

// bring returns the paths of locked inputs that are in the store, after it fetched
// those that were not.
func (f *Flakes) bring(ctx context.Context, inputs []evalbox.LockedInput) ([]string, error) {
	var paths []string
	for _, in := range inputs {
		paths = append(paths, in.Path)
	}
	valid := func() ([]string, error) {
		here, err := f.cfg.Engine.Store().ValidPaths(ctx, paths)
		if err != nil {
			return nil, fmt.Errorf("ask the store for a flake's inputs: %w", err)
		}
		return here, nil
	}
	here, err := valid()
	if err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(inputs), func(in evalbox.LockedInput) bool { return !in.Remote || slices.Contains(here, in.Path) })
	if len(missing) == 0 || f.cfg.Inputs == nil {
		return here, nil
	}
	if err := f.fetch(ctx, missing); err != nil {
		return nil, err
	}
	return valid()
}

// InstantiateFlake writes the derivation of an environment of a flake's packages and,
// before them in PATH, packages of the catalog. What EvaluateFlake returned must still
// be in the store.
func (f *Flakes) InstantiateFlake(ctx context.Context, name string, attrs []string, out *nixspace.FlakeOutput) (drvPath, outPath string, err error) {
	inputs, err := f.cfg.Catalog.Inputs(ctx, attrs)
	if err != nil {
		return "", "", err
	}
	uses := make([]nix.Input, len(out.Uses))
	for i, p := range out.Uses {
		uses[i] = nix.Input{DrvPath: p.DrvPath, Output: p.Output, OutPath: p.OutPath}
	}
	for i, p := range out.Packages {
		// No attribute begins with ~, which comes after all letters.
		inputs = append(inputs, nix.Input{Attr: fmt.Sprintf("~%06d", i), DrvPath: p.DrvPath, Output: p.Output, OutPath: p.OutPath})
	}
	d, err := f.cfg.Engine.InstantiateWith(ctx, name, inputs, uses)
	if err != nil {
		return "", "", err
	}
	return d.DrvPath, d.OutPath, nil
}

// RealiseFlake makes the environment valid, with all that it needs, and roots it.
func (f *Flakes) RealiseFlake(ctx context.Context, drvPath string, attrs []string, root string, progress nixspace.ProgressFunc) error {
	return f.cfg.Catalog.RealiseForeign(ctx, drvPath, attrs, root, progress)
}
