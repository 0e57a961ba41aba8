package manifest

import (
	"maps"
	"reflect"
	"slices"

	"github.com/nixspace/nixspace"
)

// Edits returns what makes a manifest mean what another one does: [Apply] with
// them in the text of a gives a text that means b. Comments and order stay a's, and
// what both say alike is left alone. They are in the order of their keys, removals
// first. It is the difference as data; [Diff] is the one for people.
func Edits(a, b *Manifest) []Edit {
	from, to := mergingOf(a), mergingOf(b)
	var removed, set, made []Edit
	gone := map[string]bool{} // services that are removed as a whole
	touched := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(a.Services)) {
		path := []string{"services", name}
		if _, stays := b.Services[name]; !stays {
			gone[name] = true
			removed = append(removed, Edit{Op: nixspace.ChangeRemove, Key: dotted(path)})
		}
	}
	for _, key := range union(from, to) {
		l := firstLeaf(key, from, to)
		in := ""
		if l.path[0] == "services" {
			in = l.path[1]
		}
		old, was := from[key]
		now, is := to[key]
		switch {
		case l.service:
			if is && !was {
				touched[in] = true
			}
		case was && is && reflect.DeepEqual(old.value, now.value):
		case is:
			set = append(set, Edit{Op: nixspace.ChangeSet, Key: dotted(l.path), Value: tomlValue(now.value)})
		case !gone[in]:
			removed = append(removed, Edit{Op: nixspace.ChangeRemove, Key: dotted(l.path)})
			touched[in] = in != ""
		}
	}
	// A service that says nothing of itself is there all the same.
	for _, name := range slices.Sorted(maps.Keys(b.Services)) {
		if path := []string{"services", name}; touched[name] && len(serviceLeaves(path, b.Services[name])) == 0 {
			made = append(made, Edit{Op: nixspace.ChangeSet, Key: dotted(path)})
		}
	}
	return slices.Concat(removed, set, made)
}
