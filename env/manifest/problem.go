package manifest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"

	"github.com/nixspace/nixspace"
)

// The error codes of this package.
const (
	codeInvalid         = "manifest_invalid"
	codeEdit            = "manifest_edit_invalid"
	codeKeyUnknown      = "manifest_key_unknown"
	codeKeyExists       = "manifest_key_exists"
	codePackageUnknown  = "package_unknown"
	codeVersionUnknown  = "version_unknown"
	codePackageConflict = "package_conflict"
	codeSourceOffline   = "source_offline"
	codeServicePackage  = "service_package_missing"
	codeBaseMissing     = "base_missing"
)

// problem is one thing that is wrong with a manifest.
type problem struct {
	at      int    // byte offset
	code    string // codeInvalid when empty
	message string
	hint    string
	details map[string]any
}

// Problem is a place in a manifest and what is wrong there; errors of [Parse]
// list all of them in their detail "problems".
type Problem struct {
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // in characters, from 1
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Excerpt string `json:"excerpt"` // the line, and below it a mark under the column
}

// maxProblems bounds the list of problems in an error.
const maxProblems = 20

// errorAt returns p as an error at a byte offset.
func (d *document) errorAt(at int, p problem) *nixspace.Error {
	p.at = at
	return d.error([]problem{p})
}

// error returns the problems as one error, the first in the text as its message.
func (d *document) error(ps []problem) *nixspace.Error {
	slices.SortStableFunc(ps, func(a, b problem) int { return cmp.Compare(a.at, b.at) })
	all := make([]Problem, 0, min(len(ps), maxProblems))
	for _, p := range ps[:min(len(ps), maxProblems)] {
		all = append(all, d.describe(p))
	}
	first := all[0]
	message := fmt.Sprintf("%s:%d:%d: %s", d.file, first.Line, first.Column, first.Message)
	switch n := len(ps) - 1; {
	case n == 1:
		message += " (and 1 more problem)"
	case n > 1:
		message += fmt.Sprintf(" (and %d more problems)", n)
	}
	err := &nixspace.Error{
		Kind: nixspace.KindInvalid, Code: cmp.Or(ps[0].code, codeInvalid), Message: message, Hint: first.Hint,
		Details: map[string]any{
			"file": d.file, "line": first.Line, "column": first.Column, "excerpt": first.Excerpt, "problems": all,
		},
	}
	maps.Copy(err.Details, ps[0].details)
	return err
}

func (d *document) describe(p problem) Problem {
	at := min(p.at, len(d.text))
	start := bytes.LastIndexByte(d.text[:at], '\n') + 1
	line := 1 + bytes.Count(d.text[:start], []byte("\n"))
	column := 1 + utf8.RuneCount(d.text[start:at])
	rest := d.text[start:]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	return Problem{Line: line, Column: column, Message: p.message, Hint: p.hint, Excerpt: excerpt(string(rest), column)}
}

// excerpt shows a line with a mark under one of its characters, on a terminal
// safely: control characters are shown as spaces, long lines cut.
func excerpt(line string, column int) string {
	const width = 100
	runes := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.TrimSuffix(line, "\r")))
	mark := column - 1
	if cut := mark - width/2; len(runes) > width && cut > 0 {
		runes = runes[min(cut, len(runes)):]
		mark -= cut
	}
	return string(runes[:min(len(runes), width)]) + "\n" + strings.Repeat(" ", mark) + "^"
}

// quote shows foreign text in a message.
func quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// nearest returns the names that somebody may have meant by want, best first
// and three at most.
func nearest(want string, names []string) []string {
	type scored struct {
		name string
		dist int
	}
	if len(want) > 100 {
		return nil
	}
	want = strings.ToLower(want)
	var found []scored
	for _, n := range names {
		low := strings.ToLower(n)
		dist := levenshtein.ComputeDistance(want, low)
		if len(want) >= 3 && strings.Contains(low, want) || len(low) >= 3 && strings.HasPrefix(want, low) {
			dist = min(dist, 1)
		}
		if dist <= max(1, len(want)/3) {
			found = append(found, scored{n, dist})
		}
	}
	slices.SortFunc(found, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.dist, b.dist), cmp.Compare(len(a.name), len(b.name)), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, f := range found {
		if len(out) < 3 && !slices.Contains(out, f.name) {
			out = append(out, f.name)
		}
	}
	return out
}

// didYouMean is a hint from the nearest of names; without one it lists them all
// when they are few.
func didYouMean(want string, names []string) string {
	if near := nearest(want, names); len(near) > 0 {
		return "did you mean " + list(near, "or") + "?"
	}
	if len(names) > 0 && len(names) <= 16 {
		return "there is " + list(names, "and")
	}
	return ""
}

// list joins names as people do: "a, b or c".
func list(names []string, last string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " " + last + " " + names[len(names)-1]
}
