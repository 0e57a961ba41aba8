package results

import (
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

// Number is a measurement that a program printed.
type Number struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // "s", "ms", "tps", "ns/op"; may be empty
}

// Higher reports whether more of a unit is better: rates are, times and sizes are
// not.
func Higher(unit string) bool {
	return unit == "tps" || strings.HasSuffix(unit, "/s") || strings.HasSuffix(unit, "/sec")
}

// Pattern finds a number in what a program prints.
type Pattern struct {
	Name string
	re   *regexp.Regexp
	path []string
}

const (
	maxNumbers = 200
	maxPattern = 500
)

// ParsePattern reads a pattern as people write it: NAME=/REGEXP/ takes the first
// group of the expression (or all of the match), NAME=.a.b.0 what that path leads
// to in the JSON that is the whole output. Code "pattern_invalid".
func ParsePattern(s string) (Pattern, error) {
	name, what, ok := strings.Cut(s, "=")
	invalid := func(why string) error {
		return nixspace.Errorf(nixspace.KindInvalid, "pattern_invalid", "%.100q says no number: %s", s, why).
			WithHint("write NAME=/REGEXP/ or NAME=.path.in.json")
	}
	p := Pattern{Name: clean(name)}
	switch {
	case len(s) > maxPattern:
		return p, invalid("it is too long")
	case !ok || p.Name == "":
		return p, invalid("it has no name")
	case len(what) > 2 && what[0] == '/' && what[len(what)-1] == '/':
		var err error
		if p.re, err = regexp.Compile("(?m)" + what[1:len(what)-1]); err != nil {
			return p, invalid(err.Error())
		}
	case len(what) > 1 && what[0] == '.':
		p.path = strings.Split(what[1:], ".")
	default:
		return p, invalid("neither an expression nor a path")
	}
	return p, nil
}

// find returns the number, if it is there.
func (p Pattern) find(output []byte) (float64, bool) {
	if p.re != nil {
		m := p.re.FindSubmatch(output)
		if m == nil {
			return 0, false
		}
		return parse(string(m[min(1, len(m)-1)]))
	}
	var v any
	if json.Unmarshal(output, &v) != nil {
		return 0, false
	}
	for _, step := range p.path {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(at) {
				return 0, false
			}
			v = at[i]
		default:
			return 0, false
		}
	}
	switch x := v.(type) {
	case float64:
		return x, true
	case string:
		return parse(x)
	}
	return 0, false
}

var (
	pgbenchTPS     = regexp.MustCompile(`(?m)^tps = ([0-9.]{1,20}) `)
	pgbenchLatency = regexp.MustCompile(`(?m)^latency average = ([0-9.]{1,20}) ms`)
	goBenchmark    = regexp.MustCompile(`(?m)^(Benchmark\S{1,200})\s+\d{1,12}\s+(\S.*)$`)
	goProcs        = regexp.MustCompile(`-\d+$`)
)

// Numbers finds what patterns name, and what pgbench, hyperfine (--export-json) and
// Go benchmarks print.
func Numbers(output []byte, patterns []Pattern) []Number {
	var out []Number
	seen := map[string]bool{}
	add := func(name, unit string, v float64) {
		if name = clean(name); name == "" || seen[name] || len(out) == maxNumbers || math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
		seen[name] = true
		out = append(out, Number{name, v, unit})
	}
	for _, p := range patterns {
		if v, ok := p.find(output); ok {
			add(p.Name, "", v)
		}
	}
	for _, known := range []struct {
		re         *regexp.Regexp
		name, unit string
	}{{pgbenchTPS, "pgbench tps", "tps"}, {pgbenchLatency, "pgbench latency", "ms"}} {
		if m := known.re.FindSubmatch(output); m != nil {
			if v, ok := parse(string(m[1])); ok {
				add(known.name, known.unit, v)
			}
		}
	}
	for _, m := range goBenchmark.FindAllSubmatch(output, maxNumbers) {
		name := goProcs.ReplaceAllString(string(m[1]), "")
		fields := strings.Fields(string(m[2]))
		for i := 0; i+1 < len(fields); i += 2 {
			if v, ok := parse(fields[i]); ok {
				unit := clean(fields[i+1])
				add(name+" "+unit, unit, v)
			}
		}
	}
	var hyperfine struct {
		Results []struct {
			Command string   `json:"command"`
			Median  *float64 `json:"median"`
		} `json:"results"`
	}
	if at := strings.Index(string(output), "{"); at >= 0 && json.Unmarshal(output[at:], &hyperfine) == nil {
		for _, r := range hyperfine.Results {
			if r.Median != nil {
				add("hyperfine "+r.Command, "s", *r.Median)
			}
		}
	}
	return out
}

func number(s string) float64 {
	v, _ := parse(s)
	return v
}

// parse reads a number as programs print it, with commas between thousands too.
func parse(s string) (float64, bool) {
	if len(s) > 64 {
		return 0, false
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(strings.TrimSpace(s), ",", ""), 64)
	return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}
