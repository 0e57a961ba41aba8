package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/env/manifest"
)

// The bounds of what is read as a flake.
const (
	maxFlakeFile  = 256 << 10
	maxFlakeFiles = 200
)

// flakeFlags are what the verbs take that send a flake.
type flakeFlags struct {
	Include []string `placeholder:"PATTERN" help:"With a flake, also send the files of this name or pattern (conf/*.toml). Without it, flake.nix, flake.lock and every *.nix go."`
}

// read returns the texts of a flake: of a folder, or of a flake.nix alone with the
// flake.lock beside it.
func (f *flakeFlags) read(at string) (map[string]string, error) {
	fi, err := os.Stat(at)
	if err != nil {
		return nil, flakeUnreadable(at, err)
	}
	if !fi.IsDir() {
		files := map[string]string{}
		text, err := readText(os.DirFS(filepath.Dir(at)), filepath.Base(at))
		if err != nil {
			return nil, flakeUnreadable(at, err)
		}
		files["flake.nix"] = text
		lock, err := readText(os.DirFS(filepath.Dir(at)), "flake.lock")
		if err == nil && filepath.Base(at) == "flake.nix" {
			files["flake.lock"] = lock
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, flakeUnreadable("flake.lock", err)
		}
		return files, nil
	}
	return f.readDir(os.DirFS(at), at)
}

func (f *flakeFlags) readDir(dir fs.FS, at string) (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || base == "node_modules" || base == "result") {
				return fs.SkipDir
			}
			return nil
		}
		wanted := name == "flake.nix" || name == "flake.lock" || path.Ext(base) == ".nix"
		for _, p := range f.Include {
			ok, err := path.Match(p, name)
			if err != nil {
				return nixspace.Errorf(nixspace.KindInvalid, "pattern_invalid", "%q is no pattern", p)
			}
			wanted = wanted || ok || strings.HasPrefix(name, strings.TrimSuffix(p, "/")+"/")
		}
		if !wanted {
			return nil
		}
		if len(files) == maxFlakeFiles {
			return nixspace.Errorf(nixspace.KindLimit, "flake_limit", "%s has more than %d files for a flake", at, maxFlakeFiles)
		}
		text, err := readText(dir, name)
		if err != nil {
			return err
		}
		files[name] = text
		return nil
	})
	if err != nil {
		return nil, flakeUnreadable(at, err)
	}
	if _, ok := files["flake.nix"]; !ok {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "flake_missing", "%s has no flake.nix", at)
	}
	return files, nil
}

// readText reads a file that is one: a link may lead anywhere.
func readText(dir fs.FS, name string) (string, error) {
	fi, err := fs.Lstat(dir, name)
	if err != nil {
		return "", err
	}
	if !fi.Mode().IsRegular() {
		return "", nixspace.Errorf(nixspace.KindInvalid, "flake_unreadable", "%s is a link or no file, and a flake has files only", name)
	}
	if fi.Size() > maxFlakeFile {
		return "", nixspace.Errorf(nixspace.KindLimit, "flake_limit", "%s has %d bytes, of %d allowed", name, fi.Size(), maxFlakeFile)
	}
	b, err := fs.ReadFile(dir, name)
	return string(b), err
}

func flakeUnreadable(at string, err error) error {
	var known *nixspace.Error
	if errors.As(err, &known) {
		return err
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return nixspace.Errorf(nixspace.KindInvalid, "flake_unreadable", "the flake %s cannot be read: %w", at, err)
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
