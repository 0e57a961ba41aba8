package catalog

import (
	"context"
	"fmt"
	"os"

	"github.com/nix-community/go-nix/pkg/derivation"

	"github.com/nixspace/nixspace"
)

// CodeRepinned says that Debian dropped packages which an environment's derivation
// needs, and that the catalog now has newer ones: the environment must be resolved
// again.
const CodeRepinned = "catalog_repinned"

// Instantiate writes the derivation of an environment of packages and returns
// where it will be. It builds nothing, and starts no process once the catalog was
// evaluated.
func (c *Catalog) Instantiate(ctx context.Context, name string, attrs []string) (drvPath, outPath string, err error) {
	inputs, err := c.Inputs(ctx, attrs)
	if err != nil {
		return "", "", err
	}
	d, err := c.cfg.Engine.Instantiate(ctx, name, inputs)
	if err != nil {
		return "", "", err
	}
	return d.DrvPath, d.OutPath, nil
}

// Realise makes an environment's output valid: it fetches and builds the named
// packages as needed, runs each once, builds the environment and roots it under
// the name root.
func (c *Catalog) Realise(ctx context.Context, drvPath string, attrs []string, root string, progress nixspace.ProgressFunc) error {
	_, before, err := c.current(ctx)
	if err != nil {
		return err
	}
	if err := c.Fetch(ctx, attrs, progress); err != nil {
		return err
	}
	_, after, err := c.current(ctx)
	if err != nil {
		return err
	}
	for _, a := range attrs {
		if before.Packages[a].Out != after.Packages[a].Out {
			return nixspace.Errorf(nixspace.KindConflict, CodeRepinned,
				"Debian no longer has what %s was pinned to, so the catalog now has a newer one", a).
				WithHint("resolve the environment again: its packages get the newer versions")
		}
	}
	if err := c.Build(ctx, attrs, progress); err != nil {
		return err
	}
	out, err := outPath(drvPath)
	if err != nil {
		return err
	}
	if valid, err := c.cfg.Engine.Store().IsValidPath(ctx, out); err != nil {
		return fmt.Errorf("ask the store for the environment: %w", err)
	} else if !valid {
		if err := c.cfg.Engine.Realise(ctx, progress, drvPath); err != nil {
			return err
		}
	}
	return c.cfg.Engine.Root(ctx, root, out)
}

// outPath reads where a derivation's output is.
func outPath(drvPath string) (string, error) {
	f, err := os.Open(drvPath)
	if err != nil {
		return "", fmt.Errorf("read a derivation: %w", err)
	}
	defer f.Close()
	d, err := derivation.ReadDerivation(f)
	if err != nil {
		return "", fmt.Errorf("read derivation %s: %w", drvPath, err)
	}
	out, ok := d.Outputs["out"]
	if !ok {
		return "", fmt.Errorf("derivation %s has no output", drvPath)
	}
	return out.Path, nil
}

// Closure returns the closure of store paths, sorted by path.
func (c *Catalog) Closure(ctx context.Context, paths ...string) ([]nixspace.PathInfo, error) {
	return c.cfg.Engine.Closure(ctx, paths...)
}

// Unroot lets the garbage collector have what was rooted under the name.
func (c *Catalog) Unroot(ctx context.Context, root string) error {
	return c.cfg.Engine.Unroot(ctx, root)
}
