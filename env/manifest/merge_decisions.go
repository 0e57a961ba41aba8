package manifest

import (
	"slices"

	"github.com/nixspace/nixspace"
)

// decisions are what [MergeOptions] say, by path.
type decisions struct {
	prefer Side
	takes  map[string]Take
	open   []string // keys of takes that decided nothing yet, in order
	vague  [][]string
	all    bool // nothing of base is sure
	err    error
}

func newDecisions(o MergeOptions) (*decisions, error) {
	d := &decisions{prefer: o.Prefer, takes: map[string]Take{}}
	for _, t := range o.Takes {
		path, err := splitKey(t.Path)
		if err != nil {
			return nil, resolutionInvalid(t.Path, "that is no path in a manifest")
		}
		if len(path) == 1 && !slices.Contains(topLevel, path[0]) {
			path = []string{"packages", path[0]} // as edits name packages
		}
		key := dotted(normal(path))
		if _, twice := d.takes[key]; twice {
			return nil, resolutionInvalid(t.Path, "it is decided twice")
		}
		d.takes[key] = t
		d.open = append(d.open, key)
	}
	for _, p := range o.Unsure {
		path, err := splitKey(p)
		d.all = d.all || p == "" || err != nil
		d.vague = append(d.vague, path)
	}
	return d, nil
}

func resolutionInvalid(path, why string) error {
	return nixspace.Errorf(nixspace.KindInvalid, "resolution_invalid", "%.200q cannot be resolved so: %s", path, why).
		WithHint("resolve a path that conflicts: packages.postgresql, env.NODE_ENV")
}

// take returns what was decided about a path, and marks it as used.
func (d *decisions) take(path string) (Take, bool) {
	t, ok := d.takes[path]
	if ok {
		d.open = slices.DeleteFunc(d.open, func(p string) bool { return p == path })
	}
	return t, ok
}

func (d *decisions) fail(path, why string) {
	if d.err == nil {
		d.err = resolutionInvalid(path, why)
	}
}

// finish makes edits of values for what neither side has, and fails where a
// decision is about nothing.
func (d *decisions) finish(m *Merged) error {
	for _, path := range d.open {
		if t := d.takes[path]; t.Side == Value && t.Value != "" {
			m.set(path, nil, t.Value)
			continue
		}
		d.fail(path, "neither side has it")
	}
	return d.err
}

// unsure reports whether base has nothing to say about a path.
func (d *decisions) unsure(path []string) bool {
	return d.all || slices.ContainsFunc(d.vague, func(p []string) bool { return hasPrefix(path, p) })
}

func (d *decisions) unsureKey(key string) bool {
	if d.all || len(d.vague) == 0 {
		return d.all
	}
	path, err := splitKey(key)
	return err != nil || d.unsure(path)
}
