package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/nix-community/go-nix/pkg/derivation"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix"
)

// Derivations returns a function that reports whether a derivation is one of the
// catalog's own.
func (c *Catalog) Derivations(ctx context.Context) (func(drvPath string) bool, error) {
	_, x, err := c.current(ctx)
	if err != nil {
		return nil, err
	}
	return func(drvPath string) bool {
		_, ok := x.Graph[drvPath]
		return ok
	}, nil
}

// Inputs returns packages as inputs of an environment.
func (c *Catalog) Inputs(ctx context.Context, attrs []string) ([]nix.Input, error) {
	_, x, err := c.current(ctx)
	if err != nil {
		return nil, err
	}
	inputs := make([]nix.Input, 0, len(attrs))
	for _, a := range attrs {
		e, err := x.entry(a)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, nix.Input{Attr: a, DrvPath: e.Drv, OutPath: e.Out})
	}
	return inputs, nil
}

func readDerivation(drvPath string) (*derivation.Derivation, error) {
	f, err := os.Open(drvPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, collected(drvPath)
	}
	if err != nil {
		return nil, fmt.Errorf("read a derivation: %w", err)
	}
	defer f.Close()
	d, err := derivation.ReadDerivation(f)
	if err != nil {
		return nil, fmt.Errorf("read derivation %s: %w", drvPath, err)
	}
	return d, nil
}

// RealiseForeign makes the output of a derivation valid that is not the catalog's but
// depends on packages of it: it fetches what of the catalog that needs, builds it,
// checks it, and roots it under the name root. The packages of attrs are built as by
// [Catalog.Realise]. It fails with code [CodeRepinned] where what the derivation was
// made from is no longer to be had.
func (c *Catalog) RealiseForeign(ctx context.Context, drvPath string, attrs []string, root string, progress nixspace.ProgressFunc) error {
	out, err := outPath(drvPath)
	if errors.Is(err, fs.ErrNotExist) {
		return collected(drvPath)
	}
	if err != nil {
		return err
	}
	if err := checkEnvironment(drvPath); err != nil {
		return err
	}
	if len(attrs) > 0 {
		if err := c.Fetch(ctx, attrs, progress); err != nil {
			return err
		}
		if err := c.Build(ctx, attrs, progress); err != nil {
			return err
		}
	}
	valid, err := c.cfg.Engine.Store().IsValidPath(ctx, out)
	if err != nil {
		return fmt.Errorf("ask the store for the environment: %w", err)
	}
	if !valid {
		_, before, err := c.current(ctx)
		if err != nil {
			return err
		}
		if err := c.fetch(ctx, progress, func(ctx context.Context, x *index) ([]string, error) { return c.neededBy(ctx, x, drvPath) }); err != nil {
			return err
		}
		if _, after, err := c.current(ctx); err != nil {
			return err
		} else if before != after {
			return nixspace.Errorf(nixspace.KindConflict, CodeRepinned, "Debian no longer has what the flake's packages were pinned to, so the catalog now has newer ones").
				WithHint("evaluate the flake again with the newer packages: nixspace flake update")
		}
		if err := c.cfg.Engine.Realise(ctx, progress, drvPath); err != nil {
			return err
		}
	}
	return c.cfg.Engine.Root(ctx, root, out)
}

// neededBy returns the sources of the catalog that a derivation still needs.
func (c *Catalog) neededBy(ctx context.Context, x *index, drvPath string) ([]string, error) {
	valid, err := c.valid(ctx, x)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var own []string
	for todo := []string{drvPath}; len(todo) > 0; {
		path := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[path] {
			continue
		}
		seen[path] = true
		if _, ok := x.Graph[path]; ok {
			own = append(own, path)
			continue
		}
		inputs, err := inputsOf(path)
		if err != nil {
			return nil, err
		}
		todo = append(todo, inputs...)
	}
	return x.missing(valid, own...), nil
}

func collected(drvPath string) error {
	return nixspace.Errorf(nixspace.KindNotFound, "package_not_instantiated", "%s is not in the Nix store", drvPath).
		WithHint("it may have been collected as garbage: evaluate the flake again")
}

// checkEnvironment refuses a derivation that is no environment. Its path may come from
// a file that somebody else made.
func checkEnvironment(drvPath string) error {
	d, err := readDerivation(drvPath)
	if err != nil {
		return err
	}
	if d.Builder != "builtin:buildenv" {
		return nixspace.Errorf(nixspace.KindInvalid, "derivation_refused", "%s is no environment", drvPath)
	}
	return nil
}

func inputsOf(drvPath string) ([]string, error) {
	d, err := readDerivation(drvPath)
	if err != nil {
		return nil, err
	}
	inputs := make([]string, 0, len(d.InputDerivations))
	for in := range d.InputDerivations {
		inputs = append(inputs, in)
	}
	return inputs, nil
}
