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
}

// ConflictKind says how two changes disagree.
type ConflictKind string

// The kinds of conflict.
const (
	ConflictValue   ConflictKind = "value"   // both set it, to different values
	ConflictRemoved ConflictKind = "removed" // one removed it, the other changed it
	ConflictInvalid ConflictKind = "invalid" // each is valid, the two together are not
)

// Merge makes in ours what theirs changed since base, by meaning. It is
// symmetric: where nothing conflicts, merging the other way round gives a
// manifest that means the same; otherwise the same conflicts, with the sides
// exchanged. No change is ever dropped: it is in the text, or among the conflicts.
// It fails where one of the texts is no valid manifest.
func Merge(base, ours, theirs string) (*Merged, error) {
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
	settled := map[string]bool{} // services that are decided as a whole
	for _, name := range union(b, o, t) {
		if from, at := wholeService(name, b, o, t); at != nil {
			settled[name] = true
			out.service(dotted(at), from)
		}
	}
	for _, key := range union(b, o, t) {
		l := firstLeaf(key, b, o, t)
		if l.service || len(l.path) > 2 && l.path[0] == "services" && settled[joinKey(l.path[:2])] {
			continue
		}
		out.leaf(dotted(l.path), b[key].value, o[key].value, t[key].value)
	}
	// A service that they added without an entry.
	for _, key := range union(t) {
		_, before := b[key]
		_, have := o[key]
		if t[key].service && !before && !have && !out.makes(t[key].path) {
			out.Edits = append(out.Edits, Edit{Op: nixspace.ChangeAdd, Key: dotted(t[key].path)})
		}
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
func wholeService(key string, b, o, t map[string]merging) (removal, []string) {
	was, ok := b[key]
	if !ok || !was.service {
		return removal{}, nil
	}
	_, inOurs := o[key]
	_, inTheirs := t[key]
	switch {
	case inOurs && inTheirs, !inOurs && !inTheirs:
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

// service merges the removal of a whole service.
func (m *Merged) service(path string, r removal) {
	switch {
	case r.changed && r.byUs:
		m.Conflicts = append(m.Conflicts, Conflict{Kind: ConflictRemoved, Path: path, Base: "present", Theirs: "changed"})
	case r.changed:
		m.Conflicts = append(m.Conflicts, Conflict{Kind: ConflictRemoved, Path: path, Base: "present", Ours: "changed"})
	case !r.byUs:
		m.Edits = append(m.Edits, Edit{Op: nixspace.ChangeRemove, Key: path})
	}
}

// leaf merges one value; nil is none.
func (m *Merged) leaf(path string, b, o, t any) {
	switch {
	case reflect.DeepEqual(o, t), reflect.DeepEqual(b, t):
	case reflect.DeepEqual(b, o) && t == nil:
		m.Edits = append(m.Edits, Edit{Op: nixspace.ChangeRemove, Key: path})
	case reflect.DeepEqual(b, o):
		m.Edits = append(m.Edits, Edit{Op: nixspace.ChangeSet, Key: path, Value: tomlValue(t)})
	default:
		kind := ConflictValue
		if o == nil || t == nil {
			kind = ConflictRemoved
		}
		m.Conflicts = append(m.Conflicts, Conflict{Kind: kind, Path: path, Base: shown(b), Ours: shown(o), Theirs: shown(t)})
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
