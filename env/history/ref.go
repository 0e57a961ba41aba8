package history

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
)

// Ref is a reference to a version, as fingers know it from git:
//
//	shop                   the head of an environment; also project/name, a tag, a hash or its beginning
//	shop@{1}               where the environment was one move ago
//	shop@{yesterday}       where it was at a time
//	shop~2                 the first parent of the first parent
//	shop^2                 the second parent, of a merge
//
// The parts follow each other: shop@{1}^2~3.
type Ref struct {
	Base  string // without what follows; an environment, a tag, a hash or a UUID
	At    *At    // nil without @{…}
	Steps []Step // from the version that Base and At name
}

// At is a place in the record of where an environment's head was.
type At struct {
	Moves int  // how many moves ago; unless When is set
	When  When // a time; zero with Moves
}

// Step goes from a version to one of its ancestors.
type Step struct {
	Parent int // 1 for the first parent, 2 for the second; see Times
	Times  int // how often: more than one only along first parents; none stays where it is
}

// Limits of references.
const (
	maxRef   = 300
	maxSteps = 20
	maxCount = 1_000_000
)

// The longest of what may stand before the operators is project/name.
var basePattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}(/[A-Za-z0-9._-]{1,64})?$`)

// ParseRef reads a reference. It fails with code "reference_invalid". Whether
// what it names exists is not its concern.
func ParseRef(s string) (Ref, error) {
	var r Ref
	if len(s) > maxRef {
		return r, invalidRef(s, "it is too long")
	}
	end := strings.IndexAny(s, "@~^")
	if end < 0 {
		end = len(s)
	}
	r.Base = s[:end]
	if !basePattern.MatchString(r.Base) {
		return r, invalidRef(s, "it begins with no name")
	}
	rest := s[end:]
	if after, ok := strings.CutPrefix(rest, "@{"); ok {
		expr, after, closed := strings.Cut(after, "}")
		if !closed {
			return r, invalidRef(s, "a } is missing")
		}
		at, err := parseAt(expr)
		if err != nil {
			return r, invalidRef(s, err.Error())
		}
		r.At, rest = &at, after
	}
	for rest != "" {
		op := rest[0]
		if op != '~' && op != '^' {
			return r, invalidRef(s, "after the name come @{…}, ~ and ^, in this order")
		}
		digits := 1
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		n := 1
		if digits > 1 {
			var err error
			if n, err = strconv.Atoi(rest[1:digits]); err != nil || n > maxCount {
				return r, invalidRef(s, "the number is too large")
			}
		}
		step := Step{Parent: 1, Times: n}
		if op == '^' {
			if n > 2 {
				return r, invalidRef(s, "a version has two parents at most")
			}
			if n == 2 {
				step = Step{Parent: 2, Times: 1}
			}
		}
		if len(r.Steps) == maxSteps {
			return r, invalidRef(s, "it has too many steps")
		}
		r.Steps = append(r.Steps, step)
		rest = rest[digits:]
	}
	return r, nil
}

func invalidRef(s, why string) error {
	return nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.80q names no version: %s", s, why).
		WithHint("write an environment, a tag or a hash, then ~2, ^2, @{1} or @{yesterday}: shop~2")
}

// Plain reports whether r names what it names without going anywhere from it.
func (r Ref) Plain() bool { return r.At == nil && len(r.Steps) == 0 }

// When is a time as people say it: an instant, or so long ago.
type When struct {
	Instant time.Time
	Ago     time.Duration
	Days    int // ago; days and longer are counted by the calendar
	Months  int // ago
}

// Time returns the instant that w means at now.
func (w When) Time(now time.Time) time.Time {
	if !w.Instant.IsZero() {
		return w.Instant
	}
	return now.AddDate(0, -w.Months, -w.Days).Add(-w.Ago)
}

var (
	agoPattern = regexp.MustCompile(`^([0-9]{1,7}|an?)[ .]([a-z]+?)s?[ .]ago$`)
	layouts    = []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"}
)

type atError string

func (e atError) Error() string { return string(e) }

const errWhen = atError("write @{1}, @{yesterday}, @{2 days ago}, @{2026-11-01} or @{2026-11-01 14:30} (UTC)")

func parseAt(expr string) (At, error) {
	expr = strings.TrimSpace(expr)
	if n, err := strconv.Atoi(expr); err == nil {
		if n < 0 || n > maxCount || expr[0] == '+' || expr[0] == '-' {
			return At{}, errWhen
		}
		return At{Moves: n}, nil
	}
	w, err := parseWhen(expr)
	return At{When: w}, err
}

// isZero reports whether w was not set.
func (w When) isZero() bool { return w == When{} }

// Timed reports whether a time was named, and not a number of moves.
func (a At) Timed() bool { return !a.When.isZero() }

// parseWhen reads a time. Dates are in UTC; a date alone means its beginning.
func parseWhen(expr string) (When, error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, expr); err == nil {
			if t.Year() < 1970 {
				return When{}, errWhen
			}
			return When{Instant: t.UTC()}, nil
		}
	}
	if expr == "yesterday" {
		return When{Days: 1}, nil
	}
	m := agoPattern.FindStringSubmatch(expr)
	if m == nil {
		return When{}, errWhen
	}
	n := 1
	if m[1][0] != 'a' {
		n, _ = strconv.Atoi(m[1]) // the pattern has seven digits at most
	}
	if n == 0 {
		return When{}, errWhen
	}
	switch m[2] {
	case "second":
		return When{Ago: time.Duration(n) * time.Second}, nil
	case "minute", "min":
		return When{Ago: time.Duration(n) * time.Minute}, nil
	case "hour":
		return When{Ago: time.Duration(min(n, 1_000_000)) * time.Hour}, nil
	case "day":
		return When{Days: min(n, 100_000)}, nil
	case "week":
		return When{Days: 7 * min(n, 10_000)}, nil
	case "month":
		return When{Months: min(n, 10_000)}, nil
	case "year":
		return When{Months: 12 * min(n, 1000)}, nil
	}
	return When{}, errWhen
}
