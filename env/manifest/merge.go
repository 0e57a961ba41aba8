package manifest

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// Merged is the result of [Merge].
type Merged struct {
	// Text is ours with the changes of theirs made in it; its own comments and
	// order are kept. Where there are conflicts it has our side of them.
	Text string
	// Edits are what was changed in ours.
	Edits     []Edit
	Conflicts []Conflict // sorted by path; none when the merge is complete
}

// Conflict is something that both sides changed in different ways. Values are as
// people read them, and empty where there is none.
type Conflict struct {
	Kind   ConflictKind
	Path   string // the manifest key; empty for ConflictInvalid
	Base   string
	Ours   string
	Theirs string
	Reason string // for ConflictInvalid: what is wrong with the two together
	// Merged, for ConflictText, is the text with both sides between markers.
	Merged string
}

// ConflictKind says how two changes disagree.
type ConflictKind string

// The kinds of conflict.
const (
	ConflictValue   ConflictKind = "value"   // both set it, to different values
	ConflictRemoved ConflictKind = "removed" // one removed it, the other changed it
	ConflictInvalid ConflictKind = "invalid" // each is valid, the two together are not
	ConflictText    ConflictKind = "text"    // both changed the same lines of a file
)

// Side is one of the two that are merged, or neither.
type Side string

// The sides.
const (
	Ours   Side = "ours"
	Theirs Side = "theirs"
	Value  Side = "value" // neither: a value that somebody gave
)

// Take decides about one path, whether it conflicts or not.
type Take struct {
	Path string
	Side Side
	// Value is a version constraint or a TOML value, with side [Value]. Empty
	// removes what is there.
	Value string
}

// MergeOptions change how [MergeWith] merges; the zero value changes nothing.
type MergeOptions struct {
	// Prefer is the side that every conflict takes for which there is no Take;
	// empty leaves them as conflicts.
	Prefer Side
	Takes  []Take
	// Unsure are paths of which base is no common ancestor: whatever the two sides
	// have there in different ways is a conflict. It holds for what lies below
	// them too. An empty path is all.
	Unsure []string
}

// Merge makes in ours what theirs changed since base, by meaning. It is
// symmetric: where nothing conflicts, merging the other way round gives a
// manifest that means the same; otherwise the same conflicts, with the sides
// exchanged. No change is ever dropped: it is in the text, or among the conflicts.
// It fails where one of the texts is no valid manifest.
func Merge(base, ours, theirs string) (*Merged, error) {
	return MergeWith(base, ours, theirs, MergeOptions{})
}

// MergeWith is [Merge] with decisions. It fails also with code
// "resolution_invalid" where one of them decides about nothing.
func MergeWith(base, ours, theirs string, opts MergeOptions) (*Merged, error) {
	var ms [3]map[string]merging
	for i, side := range []struct{ name, text string }{{"base", base}, {"ours", ours}, {"theirs", theirs}} {
		m, err := Parse(side.name+"/"+FileName, []byte(side.text))
		if err != nil {
			return nil, err
		}
		ms[i] = mergingOf(m)
	}
	out := &Merged{Text: ours}
	b, o, t := ms[0], ms[1], ms[2]
	d, err := newDecisions(opts)
	if err != nil {
		return nil, err
	}
	settled := map[string]bool{} // services that are decided as a whole
	for _, name := range union(b, o, t) {
		if from, at := wholeService(name, b, o, t, d); at != nil {
			settled[name] = true
			if out.service(dotted(at), from, d) {
				out.restore(at, t)
			}
		}
	}
	for _, key := range union(b, o, t) {
		l := firstLeaf(key, b, o, t)
		if l.service || len(l.path) > 2 && l.path[0] == "services" && settled[joinKey(l.path[:2])] {
			continue
		}
		out.leaf(dotted(l.path), b[key].value, o[key].value, t[key].value, d)
	}
	// A service that they added without an entry.
	for _, key := range union(t) {
		_, before := b[key]
		_, have := o[key]
		if t[key].service && !before && !have && !settled[key] && !out.makes(t[key].path) {
			out.Edits = append(out.Edits, Edit{Op: nixspace.ChangeAdd, Key: dotted(t[key].path)})
		}
	}
	if err := d.finish(out); err != nil {
		return nil, err
	}
	slices.SortFunc(out.Conflicts, func(a, b Conflict) int { return strings.Compare(a.Path, b.Path) })
	text, err := Apply(ours, out.Edits)
	if err != nil {
		out.Conflicts = append(out.Conflicts, Conflict{Kind: ConflictInvalid, Reason: err.Error()})
		out.Edits = nil
		return out, nil
	}
	out.Text = text
	return out, nil
}

// merging is one value of a manifest, or that a service is there.
type merging struct {
	leaf
	service bool
}

func mergingOf(m *Manifest) map[string]merging {
	out := map[string]merging{}
	for _, l := range leaves(m) {
		out[joinKey(l.path)] = merging{leaf: l}
	}
	for name := range m.Services {
		path := []string{"services", name}
		out[joinKey(path)] = merging{leaf: leaf{path: path, value: true}, service: true}
	}
	return out
}

func union(ms ...map[string]merging) []string {
	all := map[string]bool{}
	for _, m := range ms {
		for k := range m {
			all[k] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func firstLeaf(key string, ms ...map[string]merging) merging {
	for _, m := range ms {
		if l, ok := m[key]; ok {
			return l
		}
	}
	return merging{}
}

// removal says who removed a service that the other side changed meanwhile, or
// did not.
type removal struct{ byUs, changed bool }

// wholeService decides about a service that one side removed. Its path is nil
// where key is no service or nobody removed it.
func wholeService(key string, b, o, t map[string]merging, d *decisions) (removal, []string) {
	was, inBase := b[key]
	ours, inOurs := o[key]
	theirs, inTheirs := t[key]
	have := ours
	if inTheirs {
		have = theirs
	}
	if inOurs == inTheirs || !have.service {
		return removal{}, nil
	}
	if d.unsure(have.path) { // nobody knows whether one removed or the other added it
		return removal{byUs: inTheirs, changed: true}, have.path
	}
	switch {
	case !inBase || !was.service:
		return removal{}, nil
	case inTheirs:
		return removal{byUs: true, changed: !sameService(was.path, b, t)}, was.path
	}
	return removal{changed: !sameService(was.path, b, o)}, was.path
}

func sameService(path []string, a, b map[string]merging) bool {
	for _, key := range union(a, b) {
		l := firstLeaf(key, a, b)
		if hasPrefix(l.path, path) && !reflect.DeepEqual(a[key].value, b[key].value) {
			return false
		}
	}
	return true
}

// service merges the removal of a whole service, and reports whether theirs is to
// be put in again.
func (m *Merged) service(path string, r removal, d *decisions) (again bool) {
	take, decided := d.take(path)
	conflict := Conflict{Kind: ConflictRemoved, Path: path, Base: "present"}
	switch {
	case decided && take.Side == Ours, !decided && !r.changed && r.byUs:
	case decided && take.Side == Value:
		d.fail(path, "a service has no value: take ours or theirs, or set what is below it")
	case r.byUs && (decided || d.prefer == Theirs):
		return true
	case !r.byUs && (decided || !r.changed || d.prefer == Theirs):
		m.Edits = append(m.Edits, Edit{Op: nixspace.ChangeRemove, Key: path})
	case d.prefer == Ours:
	case r.byUs:
		conflict.Theirs = "changed"
		m.Conflicts = append(m.Conflicts, conflict)
	default:
		conflict.Ours = "changed"
		m.Conflicts = append(m.Conflicts, conflict)
	}
	return false
}

// restore puts a service in as theirs has it.
func (m *Merged) restore(service []string, t map[string]merging) {
	before := len(m.Edits)
	for _, key := range union(t) {
		if l := t[key]; !l.service && hasPrefix(l.path, service) {
			m.Edits = append(m.Edits, Edit{Op: nixspace.ChangeSet, Key: dotted(l.path), Value: tomlValue(l.value)})
		}
	}
	if len(m.Edits) == before {
		m.Edits = append(m.Edits, Edit{Op: nixspace.ChangeAdd, Key: dotted(service)})
	}
}

// leaf merges one value; nil is none.
func (m *Merged) leaf(path string, b, o, t any, d *decisions) {
	take, decided := d.take(path)
	unsure := d.unsureKey(path)
	if ours, theirs, ok := bothTexts(path, o, t); ok && !decided && ours != theirs && (unsure || !reflect.DeepEqual(b, t) && !reflect.DeepEqual(b, o)) {
		base, _ := b.(string)
		if unsure {
			base = ""
		}
		m.text(path, base, ours, theirs, d.prefer)
		return
	}
	switch {
	case decided && take.Side == Value:
		m.set(path, o, take.Value)
	case reflect.DeepEqual(o, t), decided && take.Side == Ours, !decided && !unsure && reflect.DeepEqual(b, t):
	case decided, !unsure && reflect.DeepEqual(b, o), d.prefer == Theirs:
		if t == nil {
			m.Edits = append(m.Edits, Edit{Op: nixspace.ChangeRemove, Key: path})
		} else {
			m.Edits = append(m.Edits, Edit{Op: nixspace.ChangeSet, Key: path, Value: tomlValue(t)})
		}
	case d.prefer == Ours:
	default:
		c := Conflict{Kind: ConflictValue, Path: path, Ours: shown(o), Theirs: shown(t)}
		if o == nil || t == nil {
			c.Kind = ConflictRemoved
		}
		if !unsure {
			c.Base = shown(b)
		}
		m.Conflicts = append(m.Conflicts, c)
	}
}

// bothTexts returns the texts of a file of the flake that both sides have.
func bothTexts(path string, o, t any) (ours, theirs string, ok bool) {
	if !strings.HasPrefix(path, "flake.files.") {
		return "", "", false
	}
	ours, have := o.(string)
	theirs, has := t.(string)
	return ours, theirs, have && has
}

// set makes an edit that gives path a value in place of o; an empty one removes it.
func (m *Merged) set(path string, o any, value string) {
	switch {
	case value != "":
		m.Edits = append(m.Edits, Edit{Op: nixspace.ChangeSet, Key: path, Value: value})
	case o != nil:
		m.Edits = append(m.Edits, Edit{Op: nixspace.ChangeRemove, Key: path})
	}
}

// makes reports whether an edit adds something to a service, and so the service.
func (m *Merged) makes(service []string) bool {
	return slices.ContainsFunc(m.Edits, func(e Edit) bool {
		path, err := splitKey(e.Key)
		return err == nil && e.Op != nixspace.ChangeRemove && hasPrefix(path, service)
	})
}

func shown(v any) string {
	if v == nil {
		return ""
	}
	return display(v)
}
