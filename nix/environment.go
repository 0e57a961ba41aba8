package nix

import (
	"context"
	_ "embed" // for buildenv.nix
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/nix-community/go-nix/pkg/derivation"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/daemon"
)

// BuildEnvNix is a Nix expression: a function of { name, paths } that returns the
// derivation of an environment, the same that [Engine.Instantiate] writes. A
// package source uses it as its buildEnv.
//
//go:embed buildenv.nix
var BuildEnvNix string

// maxDerivation bounds the size of a derivation file that is read. Nix's largest
// have some hundred kilobytes.
const maxDerivation = 16 << 20

// Input is a package that goes into an environment.
type Input struct {
	Attr    string // its attribute name; environments are ordered by it
	DrvPath string // its derivation, which must be in the store; empty for a path that is in the store by itself
	Output  string // which of the derivation's outputs; "out" when empty
	OutPath string // that output
}

// Derivation is where a derivation is, and where its output will be.
type Derivation struct {
	DrvPath string
	OutPath string
}

// Instantiate writes the derivation of an environment with the packages' files to
// the store, exactly as Nix does when it evaluates [BuildEnvNix] with the packages
// in the order of their attributes. It builds nothing and starts no process.
//
// It fails with code "package_not_instantiated" when a package's derivation is not
// in the store.
func (e *Engine) Instantiate(ctx context.Context, name string, inputs []Input) (Derivation, error) {
	return e.InstantiateWith(ctx, name, inputs, nil)
}

// maxUses bounds the text of a link, in bytes.
const maxUses = 4000

// InstantiateWith is [Engine.Instantiate] for an environment that also refers to
// other paths, without having their files: they become part of its closure. It fails
// with code "environment_too_large" where there are too many of them.
func (e *Engine) InstantiateWith(ctx context.Context, name string, inputs, uses []Input) (Derivation, error) {
	drv, err := e.drvs.environment(name, inputs, uses)
	if err != nil {
		return Derivation{}, fmt.Errorf("write the derivation of %s: %w", name, err)
	}
	return e.addDerivation(ctx, drv)
}

func (e *Engine) addDerivation(ctx context.Context, drv *derivation.Derivation) (Derivation, error) {
	name := drv.Name()
	var text strings.Builder
	if err := drv.WriteDerivation(&text); err != nil {
		return Derivation{}, fmt.Errorf("write the derivation of %s: %w", name, err)
	}
	want, err := drv.DrvPath()
	if err != nil {
		return Derivation{}, fmt.Errorf("write the derivation of %s: %w", name, err)
	}
	refs := slices.Clone(drv.InputSources)
	for in := range drv.InputDerivations {
		refs = append(refs, in)
	}
	got, err := e.client.AddText(ctx, name+".drv", []byte(text.String()), refs)
	if err != nil {
		if gone := e.firstInvalid(ctx, refs); gone != "" {
			return Derivation{}, notInstantiated(gone)
		}
		return Derivation{}, fmt.Errorf("add the derivation of %s to the store: %w", name, e.explain(err))
	}
	if got != want {
		return Derivation{}, fmt.Errorf("add the derivation of %s to the store: it is at %s, not at %s", name, got, want)
	}
	return Derivation{DrvPath: got, OutPath: drv.Outputs["out"].Path}, nil
}

// firstInvalid returns one of the paths that the store does not have, or nothing.
func (e *Engine) firstInvalid(ctx context.Context, paths []string) string {
	valid, err := e.client.ValidPaths(ctx, paths)
	if err != nil {
		return ""
	}
	for _, p := range paths {
		if _, ok := slices.BinarySearch(valid, p); !ok {
			return p
		}
	}
	return ""
}

func notInstantiated(path string) error {
	return nixspace.Errorf(nixspace.KindNotFound, "package_not_instantiated", "%s is not in the Nix store", path).
		WithHint("it may have been collected as garbage: evaluate the package source again")
}

// derivations computes the paths of derivations. It remembers what it has read:
// the files are immutable, and a path says what is in it.
type derivations struct {
	mu   sync.Mutex
	seen map[string]input
	// read is readDerivation, but in tests.
	read func(path string) (*derivation.Derivation, error)
}

// input is what counts of a derivation when another one depends on it.
type input struct {
	// modulo is what stands for it in the hash of a derivation that depends on it
	// (Nix: hashDerivationModulo in derivations.cc).
	modulo string
	outs   map[string]string // its outputs: name → path
}

func newDerivations() *derivations {
	return &derivations{seen: map[string]input{}, read: readDerivation}
}

// environment returns the derivation of buildenv.nix. What it uses besides its inputs
// is named by a link in it, because Nix sees what a path refers to by looking into it.
func (d *derivations) environment(name string, inputs, uses []Input) (*derivation.Derivation, error) {
	if err := daemon.CheckName(name + ".drv"); err != nil {
		return nil, err
	}
	inputs = slices.Clone(inputs)
	slices.SortStableFunc(inputs, func(a, b Input) int { return strings.Compare(a.Attr, b.Attr) })
	drv := &derivation.Derivation{
		Outputs:          map[string]*derivation.Output{"out": {}},
		InputDerivations: map[string][]string{},
		Platform:         "builtin",
		Builder:          "builtin:buildenv",
		Env: map[string]string{
			"allowSubstitutes": "",
			"builder":          "builtin:buildenv",
			"manifest":         "/dev/null",
			"name":             name,
			"out":              "",
			"preferLocalBuild": "1",
			"system":           "builtin",
		},
	}
	parts := make([]string, len(inputs))
	for i, in := range inputs {
		if err := d.depend(drv, in); err != nil {
			return nil, err
		}
		parts[i] = fmt.Sprintf("true %d 1 %s", i+1, in.OutPath)
	}
	drv.Env["derivations"] = strings.Join(parts, " ")
	if len(uses) > 0 {
		var paths []string
		for _, in := range uses {
			if err := d.depend(drv, in); err != nil {
				return nil, err
			}
			paths = append(paths, in.OutPath)
		}
		slices.Sort(paths)
		text := strings.Join(slices.Compact(paths), ":")
		if len(text) > maxUses {
			return nil, nixspace.Errorf(nixspace.KindLimit, "environment_too_large", "the environment refers to too many paths beside its packages")
		}
		drv.Env["manifest"] = text
	}
	slices.Sort(drv.InputSources)
	drv.InputSources = slices.Compact(drv.InputSources)
	return drv, d.finish(drv)
}

// depend makes a derivation depend on an input.
func (d *derivations) depend(drv *derivation.Derivation, in Input) error {
	if in.DrvPath == "" {
		if err := daemon.CheckStorePath(in.OutPath); err != nil {
			return err
		}
		drv.InputSources = append(drv.InputSources, in.OutPath)
		return nil
	}
	output := in.Output
	if output == "" {
		output = "out"
	}
	known, err := d.input(in.DrvPath)
	if err != nil {
		return err
	}
	if known.outs[output] != in.OutPath {
		return fmt.Errorf("the output %s of %s is %q, not %q", output, in.DrvPath, known.outs[output], in.OutPath)
	}
	outputs := append(drv.InputDerivations[in.DrvPath], output)
	slices.Sort(outputs)
	drv.InputDerivations[in.DrvPath] = slices.Compact(outputs)
	return nil
}

// finish computes a derivation's output path and writes it into it.
func (d *derivations) finish(drv *derivation.Derivation) error {
	modulo, err := d.modulo(drv)
	if err != nil {
		return err
	}
	outs, err := drv.CalculateOutputPaths(modulo)
	if err != nil {
		return err
	}
	drv.Outputs["out"].Path = outs["out"]
	drv.Env["out"] = outs["out"]
	return drv.Validate()
}

func (d *derivations) modulo(drv *derivation.Derivation) (map[string]string, error) {
	modulo := make(map[string]string, len(drv.InputDerivations))
	for path := range drv.InputDerivations {
		in, err := d.input(path)
		if err != nil {
			return nil, err
		}
		modulo[path] = in.modulo
	}
	return modulo, nil
}

// input reads a derivation, and all those that it depends on, once.
func (d *derivations) input(path string) (input, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.load(path, 0)
}

func (d *derivations) load(path string, depth int) (input, error) {
	if in, ok := d.seen[path]; ok {
		return in, nil
	}
	// A store holds no cycles, because a path contains the hash of what is in it.
	// What is read here could be damaged, though.
	if depth > 10_000 {
		return input{}, fmt.Errorf("the derivations below %s have no end", path)
	}
	drv, err := d.read(path)
	if err != nil {
		return input{}, err
	}
	modulo := make(map[string]string, len(drv.InputDerivations))
	for dep := range drv.InputDerivations {
		in, err := d.load(dep, depth+1)
		if err != nil {
			return input{}, err
		}
		modulo[dep] = in.modulo
	}
	var in input
	if in.modulo, err = drv.CalculateDrvReplacement(modulo); err != nil {
		return input{}, fmt.Errorf("hash %s: %w", path, err)
	}
	in.outs = make(map[string]string, len(drv.Outputs))
	for name, out := range drv.Outputs {
		in.outs[name] = out.Path
	}
	d.seen[path] = in
	return in, nil
}

// readDerivation reads a derivation from the store.
func readDerivation(path string) (*derivation.Derivation, error) {
	if err := daemon.CheckStorePath(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, notInstantiated(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read a derivation: %w", err)
	}
	defer f.Close()
	drv, err := parseDerivation(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return drv, nil
}

// parseDerivation parses a derivation of bounded size.
func parseDerivation(r io.Reader) (*derivation.Derivation, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxDerivation+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxDerivation {
		return nil, errors.New("it is too large for a derivation")
	}
	drv, err := derivation.ReadDerivation(strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	if drv.Name() == "" {
		return nil, errors.New("it has no name")
	}
	return drv, nil
}
