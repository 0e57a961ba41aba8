package flake

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/nixspace/nixspace"
)

// The bounds of what is read as a flake.
const (
	maxFile  = 256 << 10
	maxFiles = 200
	maxDepth = 12
)

// CodeUnreadable says that files cannot be taken for a flake.
const CodeUnreadable = "flake_unreadable"

// Collect returns the texts of the flake in a folder: flake.nix, flake.lock and every
// *.nix, and what include names: a path, a folder or a pattern. Hidden folders,
// node_modules and result are left out. Links are refused, because they may lead
// anywhere. It fails with code "flake_missing" where there is no flake.nix, with
// "flake_limit" where there is too much, and with [CodeUnreadable].
func Collect(dir fs.FS, include []string) (map[string]string, error) {
	for _, p := range include {
		if _, err := path.Match(p, "x"); err != nil {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "pattern_invalid", "%.80q is no pattern", p)
		}
	}
	files := map[string]string{}
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || base == "node_modules" || base == "result") || strings.Count(name, "/") > maxDepth {
				return fs.SkipDir
			}
			return nil
		}
		if !wanted(name, include) {
			return nil
		}
		if len(files) == maxFiles {
			return nixspace.Errorf(nixspace.KindLimit, "flake_limit", "there are more than %d files for a flake", maxFiles)
		}
		text, err := ReadFile(dir, name)
		files[name] = text
		return err
	})
	if err != nil {
		return nil, unreadable(err)
	}
	if _, ok := files["flake.nix"]; !ok {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "flake_missing", "there is no flake.nix")
	}
	return files, nil
}

func wanted(name string, include []string) bool {
	if name == "flake.lock" || path.Ext(name) == ".nix" {
		return true
	}
	for _, p := range include {
		if ok, _ := path.Match(p, name); ok || strings.HasPrefix(name, strings.TrimSuffix(p, "/")+"/") {
			return true
		}
	}
	return false
}

// ReadFile reads one text of a flake. It fails as [Collect] does, and with
// fs.ErrNotExist in the chain where there is none.
func ReadFile(dir fs.FS, name string) (string, error) {
	fi, err := fs.Lstat(dir, name)
	if err != nil {
		return "", unreadable(err)
	}
	if !fi.Mode().IsRegular() {
		return "", nixspace.Errorf(nixspace.KindInvalid, CodeUnreadable, "%s is a link or no file, and a flake has files only", name)
	}
	f, err := dir.Open(name)
	if err != nil {
		return "", unreadable(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", unreadable(err)
	}
	if len(b) > maxFile {
		return "", nixspace.Errorf(nixspace.KindLimit, "flake_limit", "%s has more than %d bytes", name, maxFile)
	}
	return string(b), nil
}

func unreadable(err error) error {
	var known *nixspace.Error
	if errors.As(err, &known) {
		return err
	}
	name := "a file"
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		name, err = p.Path, p.Err
	}
	return nixspace.Errorf(nixspace.KindInvalid, CodeUnreadable, "%s cannot be read: %w", name, err)
}
