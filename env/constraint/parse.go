package constraint

import (
	"errors"
	"regexp"
	"strings"
)

// A version as all notations have it, perhaps with a wildcard: 18, v18.x, 3.12.*,
// 1.2.3-rc.1+5, 1.22rc1, 2.6.0.pre1.
const versionPattern = `[vV]?([0-9]+(?:\.(?:[0-9]+|[xX*]))*)((?:[-+_.]?[A-Za-z]|[-+_][0-9])[0-9A-Za-z.+_-]*)?`

var (
	wholeVersion = regexp.MustCompile(`^(?:go|ruby-|node-|python-|temurin-|openjdk-|jdk-?)?` + versionPattern + `$`)
	term         = regexp.MustCompile(`^(===|==|=>|=<|>=|<=|!=|~=|~>|<>|>|<|=|~|\^)?\s*(?:` + versionPattern + `|([xX*]))`)
	hyphenRange  = regexp.MustCompile(`^\s*` + versionPattern + `\s+-\s+` + versionPattern + `\s*$`)
	orWord       = regexp.MustCompile(`\s+or\s+`)
	andWord      = regexp.MustCompile(`\s+and\s+`)
)

var errForm = errors.New("it cannot be read")

// split returns the numbers of a version's text, and how many there are before a
// wildcard or the end.
func split(text string) (v version, parts int, wild bool) {
	for i, f := range strings.Split(text, ".") {
		if f == "x" || f == "X" || f == "*" {
			return v, parts, true
		}
		if i < 3 {
			v[i] = number(f)
		}
		parts++
	}
	return v, parts, false
}

// parseWhole reads text that is one version.
func parseWhole(text string) (v version, parts int, err error) {
	m := wholeVersion.FindStringSubmatch(text)
	if m == nil {
		return v, 0, errForm
	}
	v, parts, _ = split(m[1])
	return v, parts, nil
}

func parsePin(text string) (set, int, error) {
	v, parts, err := parseWhole(text)
	if err != nil {
		return nil, 0, err
	}
	return line(v, parts), parts, nil
}

// parseRange reads the notations that are alternatives of terms.
func parseRange(d Dialect, text string) (set, int, error) {
	alternatives := []string{text}
	switch d {
	case NPM, Poetry, Composer:
		alternatives = strings.Split(text, "||")
		if d == Composer && len(alternatives) == 1 {
			alternatives = strings.Split(text, "|")
		}
	case Ruby:
		alternatives = orWord.Split(text, -1)
	}
	var all set
	parts := 0
	for _, a := range alternatives {
		s, p, err := parseAll(d, a)
		if err != nil {
			return nil, 0, err
		}
		all, parts = all.or(s), p
	}
	if len(alternatives) > 1 {
		parts = 0
	}
	return all, parts, nil
}

// parseAll reads terms that all must hold.
func parseAll(d Dialect, text string) (set, int, error) {
	if m := hyphenRange.FindStringSubmatch(text); m != nil && (d == NPM || d == Composer) {
		from, _, _ := split(m[1])
		to, n, _ := split(m[3])
		return spanOf(from, upTo(to, n, true)), 0, nil
	}
	if d == Ruby {
		text = andWord.ReplaceAllString(text, ", ")
	}
	out := spanOf(version{}, end)
	rest, terms, parts := strings.TrimSpace(text), 0, 0
	for rest != "" {
		m := term.FindStringSubmatch(rest)
		if m == nil {
			return nil, 0, errForm
		}
		after := rest[len(m[0]):]
		// A stability of Composer's, as in 8.1@dev, says nothing here.
		if d == Composer && strings.HasPrefix(after, "@") {
			after = strings.TrimLeft(after, "@abcdefghijklmnopqrstuvwxyzRC")
		}
		trimmed := strings.TrimLeft(after, " \t\r\n,")
		if trimmed != "" && len(trimmed) == len(after) {
			return nil, 0, errForm
		}
		rest = trimmed
		v, n, wild := version{}, 0, true
		if m[4] == "" {
			v, n, wild = split(m[2])
		}
		s, err := meaning(d, m[1], v, n, wild)
		if err != nil {
			return nil, 0, err
		}
		if terms++; (m[1] == "" || strings.Trim(m[1], "=") == "") && n > 0 {
			parts = n
		}
		out = out.and(s)
	}
	if terms != 1 {
		parts = 0
	}
	return out, parts, nil
}

// meaning returns what one term allows. Only npm reads an operator before a part
// of a version as being about the whole line: >20 begins at 21.0.0 there, and at
// 20.0.1 elsewhere.
func meaning(d Dialect, op string, v version, n int, wild bool) (set, error) {
	if n == 0 {
		if op == "<" || op == ">" || op == "!=" || op == "<>" {
			return nil, nil
		}
		return spanOf(version{}, end), nil
	}
	lines := d == NPM && n < 3 || wild
	equal := line(v, n)
	// In Python 3.9 is 3.9.0. Elsewhere people mean the line when they write so.
	if (d == PEP440 || d == Poetry && op != "") && !wild {
		equal = line(v, 3)
	}
	switch op {
	case "", "=", "==", "===":
		return equal, nil
	case "!=", "<>":
		return equal.not(), nil
	case ">=", "=>":
		return spanOf(v, end), nil
	case "<":
		return spanOf(version{}, v), nil
	case ">":
		return spanOf(upTo(v, n, lines), end), nil
	case "<=", "=<":
		return spanOf(version{}, upTo(v, n, lines)), nil
	case "^":
		return spanOf(v, caret(v, n)), nil
	case "~>", "~=":
		if d == NPM {
			return tilde(v, n), nil
		}
		return pessimistic(v, n), nil
	case "~":
		if d == Composer {
			return pessimistic(v, n), nil
		}
		return tilde(v, n), nil
	}
	return nil, errForm
}

// upTo is the first version after v, or after its line.
func upTo(v version, n int, lines bool) version {
	if lines && n < 3 {
		return v.bump(n - 1)
	}
	return v.next()
}

// caret is where ^v ends: at the next change of the leftmost number that is not 0.
func caret(v version, n int) version {
	for i := range min(n, 3) {
		if v[i] != 0 {
			return v.bump(i)
		}
	}
	return v.bump(min(n, 3) - 1)
}

// tilde is npm's tilde: from v, within its minor line, or its major one where no
// minor is given.
func tilde(v version, n int) set {
	return spanOf(v, v.bump(min(n, 2)-1))
}

// pessimistic is from v on, while all numbers but the last stay.
func pessimistic(v version, n int) set {
	return spanOf(v, v.bump(max(min(n, 3)-2, 0)))
}

var mavenRange = regexp.MustCompile(`^\s*([\[(])\s*([^,\[\]()]*)(,?)\s*([^,\[\]()]*?)\s*([\])])\s*,?`)

// parseMaven reads ranges as [17,18) and (,17], and single versions, which Maven
// calls a wish and people mean as a line.
func parseMaven(text string) (set, int, error) {
	if !strings.ContainsAny(text, "[(") {
		if plus := strings.TrimSuffix(text, "+"); plus != text {
			v, n, err := parseWhole(strings.TrimSuffix(plus, "."))
			if err != nil {
				return nil, 0, err
			}
			if strings.HasSuffix(plus, ".") {
				return line(v, n), 0, nil
			}
			return spanOf(v, end), 0, nil
		}
		return parsePin(strings.TrimPrefix(text, "1."))
	}
	var all set
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		m := mavenRange.FindStringSubmatch(rest)
		if m == nil {
			return nil, 0, errForm
		}
		rest = rest[len(m[0]):]
		from, to := version{}, end
		if s := strings.TrimSpace(m[2]); s != "" {
			v, _, err := parseWhole(s)
			if err != nil {
				return nil, 0, err
			}
			from = v
			if m[1] == "(" {
				from = v.next()
			}
			if m[3] == "" {
				to = v.next() // [17]
			}
		}
		if m[4] != "" {
			v, _, err := parseWhole(m[4])
			if err != nil {
				return nil, 0, err
			}
			to = v
			if m[5] == "]" {
				to = v.next()
			}
		}
		all = all.or(spanOf(from, to))
	}
	return all, 0, nil
}
