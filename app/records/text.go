package records

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"

	"github.com/nixspace/nixspace"
)

// Limits on what a request may bring, in bytes.
const (
	MaxMessage = 4 << 10
	MaxSource  = 1 << 10

	MaxEdits = 100
)

// CheckText refuses text that is too long or that PostgreSQL cannot keep.
func CheckText(what, s string, limit int) error {
	switch {
	case len(s) > limit:
		return nixspace.Errorf(nixspace.KindLimit, "text_too_long", "%s is too long: %d bytes, of %d allowed", what, len(s), limit)
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return nixspace.Errorf(nixspace.KindInvalid, "text_invalid", "%s is not valid UTF-8 text", what)
	}
	return nil
}

// CleanText makes text that came from elsewhere (a runner, a builder) such that
// PostgreSQL can keep it.
func CleanText(s string) string {
	if len(s) > MaxMessage {
		s = s[:MaxMessage] + "…"
	}
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}

// Nearest returns the names that a person may have meant, best first.
func Nearest(want string, names []string) []string {
	type scored struct {
		name string
		dist int
	}
	var found []scored
	for _, n := range names {
		short := n
		if !strings.Contains(want, "/") {
			short = n[strings.LastIndexByte(n, '/')+1:]
		}
		d := levenshtein.ComputeDistance(want, short)
		if len(want) > 2 && d <= max(2, len(want)/3) || len(want) >= 3 && strings.Contains(short, want) {
			found = append(found, scored{n, d})
		}
	}
	slices.SortStableFunc(found, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.dist, b.dist), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, f := range found[:min(len(found), 3)] {
		out = append(out, f.name)
	}
	return out
}

// ListOr joins names as people do: "a, b or c".
func ListOr(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// Short is the form of a hash that people read.
func Short(hash string) string { return hash[:min(len(hash), 8)] }

// FirstLine is the first line of a text.
func FirstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
