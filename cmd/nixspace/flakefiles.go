package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/env/flake"
	"github.com/nixspace/nixspace/env/manifest"
)

// flakeFlags are what the verbs take that send a flake.
type flakeFlags struct {
	Include []string `placeholder:"PATTERN" help:"With a flake, also send the files of this name or pattern (conf/*.toml). Without it, flake.nix, flake.lock and every *.nix go."`
}

// read returns the texts of a flake: of a folder, or of a flake.nix alone with the
// flake.lock beside it.
func (f *flakeFlags) read(at string) (map[string]string, error) {
	if !isFile(at) {
		return flake.Collect(os.DirFS(at), f.Include)
	}
	dir := os.DirFS(filepath.Dir(at))
	text, err := flake.ReadFile(dir, filepath.Base(at))
	if err != nil {
		return nil, err
	}
	files := map[string]string{"flake.nix": text}
	lock, err := flake.ReadFile(dir, "flake.lock")
	if err == nil && filepath.Base(at) == "flake.nix" {
		files["flake.lock"] = lock
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return files, nil
}

// overrides reads NAME=catalog arguments.
func overrides(args []string) (map[string]string, error) {
	out := map[string]string{}
	for _, a := range args {
		name, by, ok := strings.Cut(a, "=")
		if !ok || name == "" || by != "catalog" {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "override_invalid", "%q replaces no input", a).
				WithHint("write NAME=catalog: nixpkgs=catalog")
		}
		out[name] = by
	}
	return out, nil
}

func overrideEdits(args []string) ([]client.Edit, error) {
	by, err := overrides(args)
	if err != nil {
		return nil, err
	}
	var edits []client.Edit
	for _, a := range args {
		name, _, _ := strings.Cut(a, "=")
		edits = append(edits, client.Edit{Op: "SET", Key: manifest.InputPath(name), Value: by[name]})
	}
	return edits, nil
}

// flakeEdits are what makes the files of a flake other ones.
func flakeEdits(from, to map[string]string) []client.Edit {
	var edits []client.Edit
	var names []string
	for name := range from {
		names = append(names, name)
	}
	for name := range to {
		if _, ok := from[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		text, stays := to[name]
		switch old, was := from[name]; {
		case !stays && name == "flake.lock":
			// Without a lock of its own the inputs stay as they are locked.
		case !stays:
			edits = append(edits, client.Edit{Op: "REMOVE", Key: manifest.FilePath(name)})
		case !was || old != text:
			edits = append(edits, client.Edit{Op: "SET", Key: manifest.FilePath(name), Value: manifest.Text(text)})
		}
	}
	return edits
}

// compose adds a flake to the manifest beside it, if there is one.
func compose(beside string, files, by map[string]string) (string, error) {
	text := ""
	b, err := os.ReadFile(filepath.Join(beside, manifest.FileName))
	switch {
	case err == nil:
		text = string(b)
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("read %s: %w", manifest.FileName, err)
	}
	return manifest.WithFlake(text, manifest.Flake{Files: files, Inputs: by})
}

func isFile(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && !fi.IsDir()
}
