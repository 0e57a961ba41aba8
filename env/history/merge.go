package history

import (
	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// maxDepth bounds how deep merge bases are merged with each other. Histories that
// cross more often than that in a row do not exist outside of tests; what they
// disagree about is then a conflict.
const maxDepth = 16

// Merge merges two versions by the nearest common ancestor of their histories.
// Where the histories crossed there are several; they are merged first, as git
// does, and where they conflict the base says nothing, so that a difference
// between the two sides is a conflict. The outcome depends on neither the order
// in which versions are loaded nor which side is called ours.
//
// It fails with code "histories_unrelated" where there is no common ancestor.
// text returns the manifest of a version.
func Merge(load Load, text func(hash string) (string, error), ours, theirs string, opts manifest.MergeOptions) (*manifest.Merged, []Node, error) {
	bases, err := MergeBases(load, []string{ours}, []string{theirs})
	if err != nil {
		return nil, nil, err
	}
	if len(bases) == 0 {
		return nil, nil, nixspace.Errorf(nixspace.KindConflict, "histories_unrelated", "the two have no version in common, so nothing says who changed what").
			WithHint("take over single changes with `nixspace cherry-pick`")
	}
	m := merger{load: load, text: text}
	base, unsure, err := m.base(bases, 0)
	if err != nil {
		return nil, nil, err
	}
	opts.Unsure = append(opts.Unsure, unsure...)
	var texts [2]string
	for i, hash := range []string{ours, theirs} {
		if texts[i], err = text(hash); err != nil {
			return nil, nil, err
		}
	}
	merged, err := manifest.MergeWith(base, texts[0], texts[1], opts)
	return merged, bases, err
}

type merger struct {
	load Load
	text func(hash string) (string, error)
}

// base merges merge bases into one, and returns the paths that it is unsure of.
func (m *merger) base(bases []Node, depth int) (string, []string, error) {
	acc, err := m.text(bases[0].Hash)
	if err != nil {
		return "", nil, err
	}
	var unsure []string
	if depth > maxDepth && len(bases) > 1 {
		return acc, []string{""}, nil
	}
	tips := []string{bases[0].Hash}
	for _, b := range bases[1:] {
		next, err := m.text(b.Hash)
		if err != nil {
			return "", nil, err
		}
		below, err := MergeBases(m.load, tips, []string{b.Hash})
		if err != nil {
			return "", nil, err
		}
		belowText, belowUnsure := "", []string{""}
		if len(below) > 0 {
			if belowText, belowUnsure, err = m.base(below, depth+1); err != nil {
				return "", nil, err
			}
		}
		merged, err := manifest.MergeWith(belowText, acc, next, manifest.MergeOptions{Unsure: belowUnsure})
		if err != nil {
			return "", nil, err
		}
		for _, c := range merged.Conflicts {
			unsure = append(unsure, c.Path) // empty where the two do not go together at all
		}
		acc = merged.Text
		tips = append(tips, b.Hash)
	}
	return acc, unsure, nil
}
