package templates

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/nix/catalog"
)

// TestManifests resolves each template's manifest against the catalog of this
// program.
func TestManifests(t *testing.T) {
	offers, err := catalog.Listed()
	if err != nil {
		t.Fatal(err)
	}
	base := false
	for i := range offers {
		base = base || offers[i].Attr == manifest.BaseAttr
		if offers[i].OutPath == "" { // what is only listed has none yet
			offers[i].OutPath = nixspace.StoreDir + "/" + strings.Repeat("0", 32) + "-" + offers[i].Attr
		}
	}
	if !base {
		offers = append(offers, nixspace.Package{Attr: manifest.BaseAttr, OutPath: nixspace.StoreDir + "/" + strings.Repeat("1", 32) + "-base"})
	}
	listed := map[string]bool{}
	for _, tmpl := range List() {
		listed[tmpl.Name] = true
		if tmpl.Description == "" {
			t.Errorf("%s has no description", tmpl.Name)
		}
		b, err := fs.ReadFile(Files(), tmpl.Name+"/"+manifest.FileName)
		if err != nil {
			t.Error(err)
			continue
		}
		m, err := manifest.Parse(tmpl.Name+"/"+manifest.FileName, b)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := manifest.Resolve(m, "x86_64-linux", offers); err != nil {
			t.Error(err)
		}
		if m.Scripts["test"] == "" || tmpl.Name != "blank" && (m.Scripts["start"] == "" || m.Ports["web"] == 0) {
			t.Errorf("%s lacks a test, a start or a port", tmpl.Name)
		}
		if _, err := fs.Stat(Files(), tmpl.Name+"/README.md"); err != nil {
			t.Error(err)
		}
	}
	entries, err := fs.ReadDir(Files(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !listed[e.Name()] {
			t.Errorf("%s is not listed", e.Name())
		}
	}
	if len(entries) != len(listed) {
		t.Errorf("there are %d folders and %d templates", len(entries), len(listed))
	}
}
