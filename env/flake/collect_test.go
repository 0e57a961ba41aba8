package flake

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nixspace/nixspace"
)

func TestCollect(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	tree := fstest.MapFS{
		"flake.nix": file("{ }"), "flake.lock": file("{}"), "nix/a.nix": file("1"), "main.go": file("package main"),
		"conf/a.toml": file("x"), "conf/deep/b.toml": file("x"), ".git/x.nix": file("x"), "node_modules/x/y.nix": file("x"), "result/z.nix": file("x"),
	}
	for _, c := range []struct {
		include []string
		want    string
	}{
		{nil, "flake.lock flake.nix nix/a.nix"},
		{[]string{"conf"}, "conf/a.toml conf/deep/b.toml flake.lock flake.nix nix/a.nix"},
		{[]string{"conf/*.toml", "*.go"}, "conf/a.toml flake.lock flake.nix main.go nix/a.nix"},
	} {
		files, err := Collect(tree, c.include)
		if got := strings.Join(slices.Sorted(maps.Keys(files)), " "); err != nil || got != c.want {
			t.Errorf("%v: %q, %v; want %q", c.include, got, err, c.want)
		}
	}
	if _, err := Collect(tree, []string{"[x"}); nixspace.ErrorCode(err) != "pattern_invalid" {
		t.Error(err)
	}
	linked := maps.Clone(tree)
	linked["nix/l.nix"] = &fstest.MapFile{Data: []byte("/etc/passwd"), Mode: fs.ModeSymlink}
	if _, err := Collect(linked, nil); nixspace.ErrorCode(err) != CodeUnreadable {
		t.Errorf("a link: %v", err)
	}
	large := maps.Clone(tree)
	large["l.nix"] = file(strings.Repeat("x", maxFile+1))
	if _, err := Collect(large, nil); nixspace.ErrorCode(err) != "flake_limit" {
		t.Errorf("a large file: %v", err)
	}
	many := maps.Clone(tree)
	for i := range maxFiles {
		many[strings.Repeat("x", i+1)+".nix"] = file("")
	}
	if _, err := Collect(many, nil); nixspace.ErrorCode(err) != "flake_limit" {
		t.Errorf("many files: %v", err)
	}
	if _, err := Collect(fstest.MapFS{"a.nix": file("")}, nil); nixspace.ErrorCode(err) != "flake_missing" {
		t.Errorf("no flake: %v", err)
	}
	if _, err := ReadFile(tree, "no.nix"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
