package suggest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/closure"
	"github.com/nixspace/nixspace/env/manifest"
)

// Closure is what was built of an environment: everything that its sessions have.
type Closure struct {
	Graph *closure.Graph
	Size  int64  // bytes
	Base  string // store path of the base system
}

// worthwhile is how many bytes a smaller closure must save to be worth a word, and
// what part of all.
const (
	worthwhile     = 20 << 20
	worthwhilePart = 10 // one in so many
)

// own returns how many bytes the environment has for one package alone.
func (l *looker) own(p manifest.Package) int64 {
	others := []string{l.Closure.Base}
	for _, o := range l.Resolved.Packages {
		if o.Attr != p.Attr {
			others = append(others, o.OutPath)
		}
	}
	if f := l.Resolved.Flake; f != nil {
		for _, o := range f.Packages {
			others = append(others, o.Path)
		}
		others = append(others, f.Uses...)
	}
	return l.Closure.Graph.Own(p.OutPath, others...)
}

// saves says what the closure has for one package alone, as evidence.
func (l *looker) saves(p manifest.Package) (string, int64) {
	n := l.own(p)
	return fmt.Sprintf("of the %s of the environment, %s are there for it alone", bytes(l.Closure.Size), bytes(n)), n
}

// smaller looks for what makes the closure large without need: packages that nothing
// speaks of. It adds sizes to what others found to be unused.
func (l *looker) smaller() {
	if l.Closure == nil {
		return
	}
	for i, s := range l.out {
		if s.Kind != Unused {
			continue
		}
		for _, p := range l.Resolved.Packages {
			if why, n := l.saves(p); "packages."+p.Key == s.Path && n > 0 {
				l.out[i].Evidence = append(s.Evidence, why)
			}
		}
	}
	for _, p := range l.Resolved.Packages {
		path := "packages." + p.Key
		if slices.ContainsFunc(l.out, func(s Suggestion) bool { return s.Kind == Unused && s.Path == path }) {
			continue
		}
		why, n := l.saves(p)
		if n < worthwhile || n < l.Closure.Size/worthwhilePart {
			continue
		}
		if l.plan == nil || l.Code.Files == 0 || !l.silent(p) {
			continue
		}
		evidence := []string{why, fmt.Sprintf("none of %d files that say what the code needs speaks of it, and no script or service of the manifest calls a program of its name", l.Code.Files)}
		l.add(Smaller, path, fmt.Sprintf("without %s the environment is %s smaller, and nothing seems to use it", p.Family, bytes(n)), evidence,
			manifest.Edit{Op: nixspace.ChangeRemove, Key: path})
	}
}

// silent reports whether nothing speaks of a package by its name. Those whose programs
// are known have a look of their own.
func (l *looker) silent(p manifest.Package) bool {
	if _, known := words[p.Family]; known || p.Family == "git" || l.spokenOf(p.Family) {
		return false
	}
	if _, service := l.Resolved.Manifest.Services[p.Family]; service {
		return false
	}
	return !slices.ContainsFunc(l.commands(), func(c string) bool { return strings.Contains(c, p.Family) })
}

// bytes writes a size for people.
func bytes(n int64) string {
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
