// Package stack finds out what a repository needs, and why: languages and their
// versions, services, the commands that set it up, scripts and ports. It reads the
// files that say so for other tools, one small detector per kind of file.
//
// [Detect] looks into an [io/fs.FS] and says what it found, with the file and line
// of everything. It knows nothing of what a package source offers: choosing among
// that is for the package plan.
//
// Repositories are foreign. What is read is bounded in size, number and depth,
// links are not followed, and a file that cannot be understood becomes a [Note].
package stack

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/nixspace/nixspace/env/constraint"
)

// Report is what a repository says that it needs. Everything in it is in a fixed
// order, equal for equal repositories.
type Report struct {
	// Needs are wishes for packages, the weightiest of a family first. Several
	// files may speak of one family.
	Needs    []Need
	Services []Service
	// Steps set the project up after its code is there, in order.
	Steps   []Step
	Scripts []Script
	Ports   []Port
	// Variables are those that the project expects to be given. Their values are
	// never read.
	Variables []Variable
	// Defined are environments in the formats of other tools.
	Defined []Defined
	Notes   []Note
	// Files is how many files were read.
	Files int
}

// Evidence is where something is said.
type Evidence struct {
	File string // from the repository's root, with slashes
	Line int    // from 1; 0 where it is the file as a whole, such as a lock file
	Text string // what stands there, shortened and printable; may be empty
}

// String returns the evidence for people: "`.nvmrc`, line 1".
func (e Evidence) String() string {
	if e.Line == 0 {
		return "`" + e.File + "`"
	}
	return fmt.Sprintf("`%s`, line %d", e.File, e.Line)
}

// Weight says how much a wish counts against another one of the same family.
type Weight int

// The weights. What a person wrote for version managers counts most; what only
// follows from the presence of a file counts least.
const (
	Implied  Weight = 10 * (iota + 1) // the project is of that language
	Built                             // an image or a continuous integration uses it
	Declared                          // the language's own manifest asks for it
	Shared                            // a development environment of another tool has it
	Pinned                            // a version manager's file names it
)

// Need is a wish for a package.
type Need struct {
	// Family is the name in nixpkgs without a version: nodejs, python3, go,
	// postgresql.
	Family     string
	Constraint constraint.Constraint
	Weight     Weight
	Because    string // in words, when it is more than that the file says so
	Evidence
}

// Service is a program that the project talks to.
type Service struct {
	Name       string // as nixpkgs names its package: postgresql, redis, mysql
	Constraint constraint.Constraint
	Databases  []string
	Port       int // where the project expects it, when that is not the usual port
	Weight     Weight
	Because    string
	Evidence
}

// Step is a command of the set-up.
type Step struct {
	Dir     string // from the root; empty for the root
	Command string
	Evidence
}

// Script is a command that the project names.
type Script struct {
	Name    string
	Dir     string
	Command string
	Evidence
}

// Port is one that the project's own programs listen on.
type Port struct {
	Name   string
	Number int
	Weight Weight
	Evidence
}

// Variable is an environment variable that the project expects.
type Variable struct {
	Name string
	Evidence
}

// Defined is an environment that another tool describes.
type Defined struct {
	Tool string // "Nix flake", "devenv", "Dev Container", …
	Evidence
}

// Note is something that a person should know, such as a file that cannot be
// read.
type Note struct {
	Message string
	Evidence
}

// sort brings a report into its order, and removes what is said twice.
func (r *Report) sort() {
	slices.SortStableFunc(r.Needs, func(a, b Need) int {
		return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(b.Weight, a.Weight), depth(a.File)-depth(b.File))
	})
	slices.SortStableFunc(r.Services, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(b.Weight, a.Weight), depth(a.File)-depth(b.File))
	})
	slices.SortStableFunc(r.Ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), depth(a.File)-depth(b.File))
	})
	r.Scripts = unique(r.Scripts, func(s Script) string { return s.Name })
	r.Steps = unique(r.Steps, func(s Step) string { return s.Dir + "\x00" + s.Command })
	r.Ports = unique(r.Ports, func(p Port) int { return p.Number })
	r.Variables = unique(r.Variables, func(v Variable) string { return v.Name })
}

// unique keeps the first of those that are equal by key.
func unique[T any, K comparable](list []T, key func(T) K) []T {
	seen := map[K]bool{}
	return slices.DeleteFunc(list, func(v T) bool {
		k := key(v)
		if seen[k] {
			return true
		}
		seen[k] = true
		return false
	})
}

func depth(file string) int {
	n := 0
	for i := range len(file) {
		if file[i] == '/' {
			n++
		}
	}
	return n
}
