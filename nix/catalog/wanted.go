package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Wanted is catalog.json: what the catalog offers, and from where. Versions are
// not in it; they are pinned in the [Lock].
type Wanted struct {
	Version int    `json:"version"` // of the format: 1
	Suite   string `json:"suite"`   // Debian suite of units that name none
	// Packages are what people choose from, by nixpkgs' attribute name.
	Packages map[string]WantedUnit `json:"packages"`
	// Parts are what packages are made of, and not offered by themselves.
	Parts map[string]WantedUnit `json:"parts"`
}

// WantedUnit is one thing to build. Exactly one of Debs, Npm and Go is set.
type WantedUnit struct {
	Family      string   `json:"family,omitempty"` // the attribute itself when empty
	Default     bool     `json:"default,omitempty"`
	Description string   `json:"description,omitempty"`
	Debs        []string `json:"debs,omitempty"` // Debian packages; the first gives the version
	Suite       string   `json:"suite,omitempty"`
	Npm         *NpmWant `json:"npm,omitempty"`
	Go          string   `json:"go,omitempty"`   // the language version, "1.27"
	Libs        []string `json:"libs,omitempty"` // further Debian packages that hold libraries it needs
	// Smoke is a shell script that runs the unit's programs and fails if they do
	// not work. It runs once, in a Nix build.
	Smoke string `json:"smoke,omitempty"`
}

// NpmWant chooses the newest version of an npm package with a major version.
type NpmWant struct {
	Package    string `json:"package"`
	Major      string `json:"major"`
	Prerelease bool   `json:"prerelease,omitempty"` // pre-releases count too
}

// ParseWanted reads catalog.json.
func ParseWanted(b []byte) (*Wanted, error) {
	var w Wanted
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("read catalog.json: %w", err)
	}
	if w.Version != 1 {
		return nil, fmt.Errorf("read catalog.json: format version %d is not known", w.Version)
	}
	for name, u := range w.all() {
		n := 0
		for _, set := range []bool{len(u.Debs) > 0, u.Npm != nil, u.Go != ""} {
			if set {
				n++
			}
		}
		if n != 1 {
			return nil, fmt.Errorf("read catalog.json: %s must have exactly one of debs, npm and go", name)
		}
	}
	return &w, nil
}

// all returns packages and parts by name.
func (w *Wanted) all() map[string]WantedUnit {
	all := make(map[string]WantedUnit, len(w.Packages)+len(w.Parts))
	for n, u := range w.Parts {
		all[n] = u
	}
	for n, u := range w.Packages {
		all[n] = u
	}
	return all
}

func (w *Wanted) suiteOf(u WantedUnit) string {
	if u.Suite != "" {
		return u.Suite
	}
	return w.Suite
}

// suites returns the names of all suites in use, sorted.
func (w *Wanted) suites() []string {
	var s []string
	for _, u := range w.all() {
		if len(u.Debs)+len(u.Libs) > 0 {
			s = append(s, w.suiteOf(u))
		}
	}
	slices.Sort(s)
	return slices.Compact(s)
}
