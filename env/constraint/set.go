package constraint

import (
	"slices"
	"strconv"
	"strings"
)

// version is the three first numbers of one.
type version [3]uint64

// limit is more than any number of a version; larger ones count as this.
const limit = 1 << 40

// end is beyond every version.
var end = version{limit + 1, 0, 0}

func (v version) compare(o version) int { return slices.Compare(v[:], o[:]) }

// next is the smallest version above v.
func (v version) next() version {
	v[2]++
	return v
}

// before is the greatest version below v that anybody would write; of 18.0.0 that
// is 17.limit.limit.
func (v version) before() version {
	switch {
	case v[2] > 0:
		return version{v[0], v[1], v[2] - 1}
	case v[1] > 0:
		return version{v[0], v[1] - 1, limit}
	case v[0] > 0:
		return version{v[0] - 1, limit, limit}
	}
	return v
}

// bump is the first version whose number at i is greater than that of v.
func (v version) bump(i int) version {
	var out version
	copy(out[:i], v[:i])
	out[i] = v[i] + 1
	return out
}

// span is the versions from from, to before to.
type span struct{ from, to version }

// set is disjoint spans in order, none empty.
type set []span

func (s set) has(v version) bool {
	return slices.ContainsFunc(s, func(r span) bool { return v.compare(r.from) >= 0 && v.compare(r.to) < 0 })
}

func (s set) and(o set) set {
	var out set
	for i, j := 0, 0; i < len(s) && j < len(o); {
		r := span{s[i].from, s[i].to}
		if o[j].from.compare(r.from) > 0 {
			r.from = o[j].from
		}
		if o[j].to.compare(r.to) < 0 {
			r.to = o[j].to
		}
		if r.from.compare(r.to) < 0 {
			out = append(out, r)
		}
		if s[i].to.compare(o[j].to) < 0 {
			i++
		} else {
			j++
		}
	}
	return out
}

func (s set) or(o set) set {
	all := append(slices.Clone(s), o...)
	slices.SortFunc(all, func(a, b span) int { return a.from.compare(b.from) })
	var out set
	for _, r := range all {
		if n := len(out); n > 0 && r.from.compare(out[n-1].to) <= 0 {
			if r.to.compare(out[n-1].to) > 0 {
				out[n-1].to = r.to
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// not is every version that is not in s.
func (s set) not() set {
	var out set
	var from version
	for _, r := range s {
		if from.compare(r.from) < 0 {
			out = append(out, span{from, r.from})
		}
		from = r.to
	}
	if from.compare(end) < 0 {
		out = append(out, span{from, end})
	}
	return out
}

// spanOf is a set of one span, or none where it is empty.
func spanOf(from, to version) set {
	if from.compare(to) >= 0 {
		return nil
	}
	return set{{from, to}}
}

// line is all versions that begin with the first n numbers of v.
func line(v version, n int) set {
	if n <= 0 {
		return spanOf(version{}, end)
	}
	if n >= 3 {
		return spanOf(v, v.next())
	}
	return spanOf(v, v.bump(n-1))
}

// numbers returns the first three numbers of a version, and whether there is any:
// 15.18, 10.0p2, 20250419, go1.22rc1.
func numbers(s string) (version, bool) {
	var v version
	if len(s) > MaxLength {
		return v, false
	}
	fields := strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	for i, f := range fields[:min(len(fields), 3)] {
		v[i] = number(f)
	}
	return v, len(fields) > 0
}

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > limit {
		return limit
	}
	return n
}
