// Package history knows how versions hang together: how people name them, what
// two of them have in common, in which order a log shows them, and how it is
// drawn.
//
// It is pure. What it must know of a graph that lies elsewhere it asks for
// through a [Load] function, in as few and as small portions as it can.
package history

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// Node is one version in the graph of all.
type Node = nixspace.VersionNode

// Load returns the nodes of these hashes, in any order, and may return ancestors
// of them as well: what is near is likely to be asked for next. A hash that it
// leaves out is an error, of code "version_unknown".
type Load func(hashes []string) ([]Node, error)

// graph remembers what was loaded.
type graph struct {
	load  Load
	nodes map[string]Node
}

func newGraph(load Load) *graph { return &graph{load: load, nodes: map[string]Node{}} }

// get returns nodes in the order of their hashes.
func (g *graph) get(hashes []string) ([]Node, error) {
	var missing []string
	for _, h := range hashes {
		if _, ok := g.nodes[h]; !ok && !slices.Contains(missing, h) {
			missing = append(missing, h)
		}
	}
	if len(missing) > 0 {
		loaded, err := g.load(missing)
		if err != nil {
			return nil, err
		}
		for _, n := range loaded {
			g.nodes[n.Hash] = n
		}
	}
	out := make([]Node, len(hashes))
	for i, h := range hashes {
		n, ok := g.nodes[h]
		if !ok {
			return nil, nixspace.Errorf(nixspace.KindNotFound, "version_unknown", "there is no version %.64s", h)
		}
		out[i] = n
	}
	return out, nil
}

// bySeq puts descendants before their ancestors.
func bySeq(a, b Node) int {
	return cmp.Or(cmp.Compare(b.Seq, a.Seq), strings.Compare(a.Hash, b.Hash))
}

// newestFirst puts descendants before their ancestors too, in the order of time.
func newestFirst(a, b Node) int {
	return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.Seq, a.Seq), strings.Compare(a.Hash, b.Hash))
}

// queue is a sorted set of nodes.
type queue struct {
	items   []Node
	compare func(a, b Node) int
}

func (q *queue) push(n Node) {
	i, found := slices.BinarySearchFunc(q.items, n, q.compare)
	if !found {
		q.items = slices.Insert(q.items, i, n)
	}
}

func (q *queue) pop() Node {
	n := q.items[0]
	q.items = q.items[1:]
	return n
}
