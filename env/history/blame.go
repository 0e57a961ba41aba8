package history

import (
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// Content is what [Blame] must know of versions, beside their graph.
type Content interface {
	// Changes returns what each of the versions changed against its first parent.
	Changes(hashes []string) (map[string][]nixspace.Change, error)
	// Items returns what a version's manifest says.
	Items(hash string) ([]manifest.Item, error)
}

// Blame returns for each item of the version tip, by its path, the hash of the
// version that brought it as it is.
//
// What a version did not change came from its first parent; what a merge did
// change came from its second parent if it is the same there.
func Blame(load Load, content Content, tip string) (map[string]string, error) {
	items, err := content.Items(tip)
	if err != nil {
		return nil, err
	}
	g := newGraph(load)
	start, err := g.get([]string{tip})
	if err != nil {
		return nil, err
	}
	b := &blame{content: content, changes: map[string][]nixspace.Change{}, found: map[string]string{}, open: map[string][]manifest.Item{tip: items}}
	q := &queue{compare: newestFirst}
	q.push(start[0])
	for len(q.items) > 0 {
		n := q.pop()
		if err := b.visit(g, n); err != nil {
			return nil, err
		}
		var next []string
		for _, p := range n.Parents {
			if len(b.open[p]) > 0 {
				next = append(next, p)
			}
		}
		parents, err := g.get(next)
		if err != nil {
			return nil, err
		}
		for _, p := range parents {
			q.push(p)
		}
	}
	return b.found, nil
}

type blame struct {
	content Content
	changes map[string][]nixspace.Change
	open    map[string][]manifest.Item // by version: what it or an ancestor brought
	found   map[string]string
}

// visit decides which items n brought, and passes the others on to its parents.
func (b *blame) visit(g *graph, n Node) error {
	items := b.open[n.Hash]
	delete(b.open, n.Hash)
	if len(n.Parents) == 0 {
		for _, item := range items {
			b.found[item.Path] = n.Hash
		}
		return nil
	}
	changes, err := b.changesOf(g, n)
	if err != nil {
		return err
	}
	var other map[string]string // what the second parent has
	for _, item := range items {
		if !touched(item, changes) {
			b.pass(n.Parents[0], item)
			continue
		}
		if len(n.Parents) > 1 {
			if other == nil {
				if other, err = b.values(n.Parents[1]); err != nil {
					return err
				}
			}
			if v, ok := other[item.Path]; ok && v == item.Value {
				b.pass(n.Parents[1], item)
				continue
			}
		}
		b.found[item.Path] = n.Hash
	}
	return nil
}

func (b *blame) pass(to string, item manifest.Item) {
	if !slices.Contains(b.open[to], item) {
		b.open[to] = append(b.open[to], item)
	}
}

// changesOf asks for the changes of n together with those of all that is loaded
// and will probably be asked for next.
func (b *blame) changesOf(g *graph, n Node) ([]nixspace.Change, error) {
	if c, ok := b.changes[n.Hash]; ok {
		return c, nil
	}
	hashes := []string{n.Hash}
	for next := n; len(next.Parents) > 0 && len(hashes) < 256; {
		p, loaded := g.nodes[next.Parents[0]]
		if !loaded {
			break
		}
		hashes = append(hashes, p.Hash)
		next = p
	}
	loaded, err := b.content.Changes(hashes)
	if err != nil {
		return nil, err
	}
	for _, h := range hashes {
		b.changes[h] = loaded[h]
	}
	return b.changes[n.Hash], nil
}

func (b *blame) values(hash string) (map[string]string, error) {
	items, err := b.content.Items(hash)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, item := range items {
		out[item.Path] = item.Value
	}
	return out, nil
}

// touched reports whether changes have an item in them: by its path, or because
// a whole service came.
func touched(item manifest.Item, changes []nixspace.Change) bool {
	return slices.ContainsFunc(changes, func(c nixspace.Change) bool {
		return c.Path == item.Path || c.Path == item.Also || strings.HasPrefix(item.Path, c.Path+".")
	})
}
