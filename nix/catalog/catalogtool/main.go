// Command catalogtool is for those who work on the catalog:
//
//	go run ./nix/catalog/catalogtool update DIR
//	go run ./nix/catalog/catalogtool build DIR ATTRIBUTE...
//
// update, run in the root of the repository, pins the newest version of everything
// that catalog.json wants and rewrites nix/catalog/flake/catalog.lock.json. build
// fetches, builds and runs packages ("nixspaceBase" for the guest's base system, or
// "all"), and prints their store paths. DIR keeps downloads and roots;
// NIXSPACE_TEST_CACHE may name a directory for verified downloads.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/catalog"
)

const flake = "nix/catalog/flake"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "catalogtool:", err)
		var e *nixspace.Error
		if errors.As(err, &e) && e.Details["log"] != nil {
			for _, line := range e.Details["log"].([]string) {
				fmt.Fprintln(os.Stderr, "  |", line)
			}
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: catalogtool update DIR | build DIR ATTRIBUTE")
	}
	dir, err := filepath.Abs(args[1])
	if err != nil {
		return err
	}
	switch args[0] {
	case "update":
		return update(ctx, dir)
	case "build":
		return build(ctx, dir, args[2:])
	}
	return fmt.Errorf("no such command: %s", args[0])
}

func update(ctx context.Context, dir string) error {
	b, err := os.ReadFile(filepath.Join(flake, "catalog.json"))
	if err != nil {
		return err
	}
	wanted, err := catalog.ParseWanted(b)
	if err != nil {
		return err
	}
	var old *catalog.Lock
	name := filepath.Join(flake, "catalog.lock.json")
	if b, err := os.ReadFile(name); err == nil {
		if old, err = catalog.ParseLock(b); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	r := &catalog.Resolver{Dir: dir, Mirror: os.Getenv("NIXSPACE_DEBIAN_MIRROR"), Log: slog.Default()}
	lock, err := r.Resolve(ctx, wanted, old)
	if err != nil {
		return err
	}
	return os.WriteFile(name, lock.Encode(), 0o644)
}

func build(ctx context.Context, dir string, attrs []string) error {
	engine, err := nix.Open(ctx, nix.Config{StateDir: dir, Log: slog.Default()})
	if err != nil {
		return err
	}
	defer engine.Close()
	c, err := catalog.Open(ctx, catalog.Config{
		Dir: filepath.Join(dir, "catalog"), Engine: engine, Log: slog.Default(),
		Mirror: os.Getenv("NIXSPACE_DEBIAN_MIRROR"), Cache: os.Getenv("NIXSPACE_TEST_CACHE"),
	})
	if err != nil {
		return err
	}
	if err := c.Check(ctx, show); err != nil {
		return err
	}
	offers, err := c.Offers(ctx)
	if err != nil {
		return err
	}
	base, err := c.Base(ctx)
	if err != nil {
		return err
	}
	paths := map[string]string{base.Attr: base.OutPath}
	all := len(attrs) == 1 && attrs[0] == "all"
	if all {
		attrs = []string{base.Attr}
	}
	for _, p := range offers {
		paths[p.Attr] = p.OutPath
		if all {
			attrs = append(attrs, p.Attr)
		}
	}
	start := time.Now()
	if err := c.Fetch(ctx, attrs, show); err != nil {
		return err
	}
	fetched := time.Now()
	var failed []error
	for _, a := range attrs {
		if err := c.Build(ctx, []string{a}, show); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", a, err))
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	fmt.Fprintf(os.Stderr, "fetched in %.1f s, built and run in %.1f s\n", fetched.Sub(start).Seconds(), time.Since(fetched).Seconds())
	for _, a := range attrs {
		closure, err := c.Closure(ctx, paths[a])
		if err != nil {
			return err
		}
		var size, own int64
		for _, p := range closure {
			size += p.NarSize
			if p.Path == paths[a] {
				own = p.NarSize
			}
		}
		fmt.Printf("%-18s %s closure %d MiB in %d paths, own %d MiB\n", a, paths[a], size>>20, len(closure), own>>20)
	}
	return nil
}

// show prints what is worth a line.
func show(p nixspace.Progress) {
	switch {
	case p.Log != "":
		fmt.Fprintf(os.Stderr, "%s: %s\n", p.Job, p.Log)
	case p.Final && p.Phase != "":
		fmt.Fprintf(os.Stderr, "%s %s done\n", p.Phase, p.Job)
	}
}
