package debian

import "strings"

// CompareVersions orders two Debian versions as dpkg does (deb-version(7)):
// it returns a negative number, zero or a positive number. It accepts any
// string; characters that no version may hold sort by their byte.
func CompareVersions(a, b string) int {
	ae, au, ar := splitVersion(a)
	be, bu, br := splitVersion(b)
	if c := compareNumbers(ae, be); c != 0 {
		return c
	}
	if c := compareParts(au, bu); c != 0 {
		return c
	}
	return compareParts(ar, br)
}

func splitVersion(v string) (epoch, upstream, revision string) {
	epoch, rest, ok := strings.Cut(v, ":")
	if !ok {
		epoch, rest = "0", v
	}
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		return epoch, rest[:i], rest[i+1:]
	}
	return epoch, rest, ""
}

func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// compareParts compares runs of non-digits and runs of digits in turn.
func compareParts(a, b string) int {
	for a != "" || b != "" {
		for i := 0; ; i++ {
			x, y := order(a, i), order(b, i)
			if x != y {
				return x - y
			}
			if x == 0 {
				a, b = a[min(i, len(a)):], b[min(i, len(b)):]
				break
			}
		}
		an, bn := digits(a), digits(b)
		if c := compareNumbers(a[:an], b[:bn]); c != 0 {
			return c
		}
		a, b = a[an:], b[bn:]
	}
	return 0
}

// order is dpkg's weight of the character at i: '~' before the end of the
// part, the end (and a digit, which ends a run) next, then letters, then the rest.
func order(s string, i int) int {
	if i >= len(s) {
		return 0
	}
	switch c := s[i]; {
	case c == '~':
		return -1
	case isDigit(c):
		return 0
	case c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z':
		return int(c)
	default:
		return int(c) + 256
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func digits(s string) int {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return i
}

// Upstream returns the upstream part of a Debian version as its authors write
// it: without epoch, Debian revision and repacking marks ("1:2.47.3-0+deb13u1"
// is "2.47.3", "1.7.1+dfsg-1" is "1.7.1").
func Upstream(version string) string {
	_, v, _ := splitVersion(version)
	if _, after, ok := strings.Cut(v, "+really"); ok {
		v = after
	}
	for _, mark := range []string{"+dfsg", ".dfsg", "+ds", "+deb", "+git", "+debian", "~"} {
		if before, _, ok := strings.Cut(v, mark); ok && before != "" {
			v = before
		}
	}
	return v
}
