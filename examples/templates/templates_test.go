package templates

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
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

// TestGoModules builds what is in Go as the modules that they are in a project.
func TestGoModules(t *testing.T) {
	built := 0
	err := fs.WalkDir(Files(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Base(name) != "go.mod.template" {
			return err
		}
		dir := t.TempDir()
		tree, err := fs.Sub(Files(), path.Dir(name))
		if err != nil {
			return err
		}
		if err := os.CopyFS(dir, tree); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(dir, "go.mod.template"), filepath.Join(dir, "go.mod")); err != nil {
			return err
		}
		cmd := exec.CommandContext(t.Context(), "go", "test", "./...")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOWORK=off", "GOFLAGS=", "PGHOST=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		built++
		return nil
	})
	if err != nil || built != 3 {
		t.Errorf("%d modules were built, %v", built, err)
	}
}
