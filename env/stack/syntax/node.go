// Package syntax reads JSON, TOML, YAML and XML into one kind of tree, with the
// line of everything in it, so that whoever looks for a value can say where it
// stands. It is made for foreign files: trees have at most [MaxDepth] levels and
// [MaxNodes] nodes, nothing is expanded (YAML's aliases, XML's entities), and no
// text makes it panic or run long.
package syntax

import (
	"errors"
	"strconv"
	"strings"
)

// The bounds of a tree.
const (
	MaxDepth = 64
	MaxNodes = 100_000
)

var (
	errDeep = errors.New("it is nested too deep")
	errMany = errors.New("it has too many values")
)

// Kind is what a node is.
type Kind int

// The kinds of nodes.
const (
	None Kind = iota // no node: what a missing key gives
	Scalar
	List
	Table
)

// Node is a value in a file. A nil node is one that is not there: every method
// may be called on it. Nodes do not change, so goroutines may share them.
type Node struct {
	Kind Kind
	Line int // from 1: where the key stands, or the value itself in a list
	// Name is the key that the node stands under; empty in lists.
	Name string
	text string
	kids []*Node
}

// Get returns the node at a path of keys, or nil. Of keys that stand twice it is
// the last, as JSON has it. XML's elements are keys.
func (n *Node) Get(path ...string) *Node {
	for _, key := range path {
		if n == nil || n.Kind != Table {
			return nil
		}
		var found *Node
		for _, k := range n.kids {
			if k.Name == key {
				found = k
			}
		}
		n = found
	}
	return n
}

// All returns the children: a table's values in the order of the file, or a
// list's items.
func (n *Node) All() []*Node {
	if n == nil {
		return nil
	}
	return n.kids
}

// Text returns a scalar's text, and "" for all else. Numbers and booleans are as
// they are written.
func (n *Node) Text() string {
	if n == nil || n.Kind != Scalar {
		return ""
	}
	return n.text
}

// Strings returns the text of a scalar, or of each scalar in a list.
func (n *Node) Strings() []string {
	if n == nil {
		return nil
	}
	if n.Kind == Scalar {
		return []string{n.text}
	}
	var out []string
	for _, k := range n.kids {
		if k.Kind == Scalar {
			out = append(out, k.text)
		}
	}
	return out
}

// Int returns a scalar's number.
func (n *Node) Int() (int, bool) {
	i, err := strconv.Atoi(strings.TrimSpace(n.Text()))
	return i, err == nil
}

// At returns the line of a node, and 0 for none.
func (n *Node) At() int {
	if n == nil {
		return 0
	}
	return n.Line
}

// builder counts what it makes.
type builder struct{ nodes int }

func (b *builder) node(kind Kind, name string, line, depth int) (*Node, error) {
	b.nodes++
	switch {
	case depth > MaxDepth:
		return nil, errDeep
	case b.nodes > MaxNodes:
		return nil, errMany
	}
	return &Node{Kind: kind, Name: name, Line: line}, nil
}

// liner tells lines of offsets, which must not go back far often.
type liner struct {
	text []byte
	at   int
	line int
}

func (l *liner) of(offset int) int {
	if l.line == 0 || offset < l.at {
		l.at, l.line = 0, 1
	}
	for l.at < min(offset, len(l.text)) {
		if l.text[l.at] == '\n' {
			l.line++
		}
		l.at++
	}
	return l.line
}
