package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// isFolder reports whether an argument that may be an environment or a folder is a
// folder: it then says so by beginning as a path does.
func isFolder(arg string) bool {
	return arg == "." || arg == ".." || strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "../") || filepath.IsAbs(arg)
}

// readManifest reads the nixspace.toml of a folder.
func readManifest(dir string) (string, *manifest.Manifest, error) {
	name := filepath.Join(dir, manifest.FileName)
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nixspace.Errorf(nixspace.KindNotFound, "manifest_missing", "there is no %s", name).
			WithHint("write one with: nixspace init %s", dir)
	}
	if err != nil {
		return "", nil, unreadable(dir, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, manifest.MaxSize+1))
	if err != nil {
		return "", nil, unreadable(dir, err)
	}
	m, err := manifest.Parse(name, b)
	return string(b), m, err
}

// resolveDir resolves the manifest of a folder against what there is. Store paths
// are not known without a server.
func (g *globals) resolveDir(ctx context.Context, m *manifest.Manifest) (*manifest.Resolved, []nixspace.Package, error) {
	offers, err := g.offers(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(offers, func(p nixspace.Package) bool { return p.Attr == manifest.BaseAttr }) {
		offers = append(offers, nixspace.Package{Attr: manifest.BaseAttr, Family: manifest.BaseAttr, Version: "1"})
	}
	r, err := manifest.Resolve(m, "x86_64-linux", offers)
	return r, offers, err
}
