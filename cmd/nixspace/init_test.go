package main

import (
	"path/filepath"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
	"github.com/nixspace/nixspace/env/stack/plan"
	"github.com/nixspace/nixspace/nix/catalog"
)

// TestPlansOfTheCatalog holds that the manifests which are made of repositories
// resolve against the catalog of this program, whatever it has come to offer.
func TestPlansOfTheCatalog(t *testing.T) {
	offers, err := catalog.Listed()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../env/stack/testdata/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d repositories: %v", len(files), err)
	}
	all := append(offers, nixspace.Package{Attr: manifest.BaseAttr, Family: manifest.BaseAttr, Version: "1"})
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fsys := fstest.MapFS{}
		for _, f := range a.Files {
			fsys[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
		}
		r, err := stack.Detect(fsys)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		p, err := plan.Make(r, offers, plan.Options{Name: "shop"})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		m, err := manifest.Parse(manifest.FileName, []byte(p.Text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if _, err := manifest.Resolve(m, "x86_64-linux", all); err != nil {
			t.Errorf("%s: %v\n%s", file, err, p.Text)
		}
	}
}
