package syntax

import (
	"bytes"
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"
)

// TOML reads TOML. What is valid TOML it reads as such; it does not complain about
// all that is not, such as a key that stands twice.
func TOML(text []byte) (*Node, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	t := &tomlParser{lines: liner{text: text}}
	t.p.Reset(text)
	root, err := t.node(Table, "", 1, 0)
	if err != nil {
		return nil, err
	}
	at := root
	for t.p.NextExpression() {
		n := t.p.Expression()
		switch n.Kind {
		case unstable.Table:
			at, err = t.table(root, n, false)
		case unstable.ArrayTable:
			at, err = t.table(root, n, true)
		case unstable.KeyValue:
			err = t.keyValue(at, n, 1)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := t.p.Error(); err != nil {
		return nil, fmt.Errorf("it is no TOML: %w", err)
	}
	return root, nil
}

type tomlParser struct {
	builder
	p     unstable.Parser
	lines liner
}

// key is one part of a key and its line.
type key struct {
	name string
	line int
}

func (t *tomlParser) keys(n *unstable.Node) []key {
	var out []key
	for it := n.Key(); it.Next(); {
		k := it.Node()
		out = append(out, key{string(k.Data), t.lines.of(int(k.Raw.Offset))})
	}
	return out
}

// below returns the table under a key, and makes it where there is none. Of a
// list of tables it is the last one.
func (t *tomlParser) below(n *Node, k key, depth int) (*Node, error) {
	if found := n.Get(k.name); found != nil {
		if found.Kind == List && len(found.kids) > 0 {
			found = found.kids[len(found.kids)-1]
		}
		if found.Kind == Table {
			return found, nil
		}
	}
	made, err := t.node(Table, k.name, k.line, depth)
	if err != nil {
		return nil, err
	}
	n.kids = append(n.kids, made)
	return made, nil
}

func (t *tomlParser) table(root *Node, n *unstable.Node, list bool) (*Node, error) {
	keys := t.keys(n)
	at := root
	var err error
	for i, k := range keys {
		if list && i == len(keys)-1 {
			break
		}
		if at, err = t.below(at, k, i+1); err != nil {
			return nil, err
		}
	}
	if !list || len(keys) == 0 {
		return at, nil
	}
	last := keys[len(keys)-1]
	l := at.Get(last.name)
	if l == nil || l.Kind != List {
		if l, err = t.node(List, last.name, last.line, len(keys)); err != nil {
			return nil, err
		}
		at.kids = append(at.kids, l)
	}
	item, err := t.node(Table, "", last.line, len(keys)+1)
	if err != nil {
		return nil, err
	}
	l.kids = append(l.kids, item)
	return item, nil
}

func (t *tomlParser) keyValue(at *Node, n *unstable.Node, depth int) error {
	keys := t.keys(n)
	if len(keys) == 0 {
		return nil
	}
	var err error
	for _, k := range keys[:len(keys)-1] {
		if at, err = t.below(at, k, depth); err != nil {
			return err
		}
		depth++
	}
	last := keys[len(keys)-1]
	v, err := t.value(n.Value(), last.name, last.line, depth)
	if err != nil {
		return err
	}
	at.kids = append(at.kids, v)
	return nil
}

func (t *tomlParser) value(v *unstable.Node, name string, line, depth int) (*Node, error) {
	kind := Scalar
	switch v.Kind {
	case unstable.Array:
		kind = List
	case unstable.InlineTable:
		kind = Table
	}
	n, err := t.node(kind, name, line, depth)
	if err != nil {
		return nil, err
	}
	n.text = string(v.Data)
	if kind == Scalar {
		return n, nil
	}
	for it := v.Children(); it.Next(); {
		k := it.Node()
		switch {
		case k.Kind == unstable.Comment:
		case kind == Table && k.Kind == unstable.KeyValue:
			err = t.keyValue(n, k, depth+1)
		case kind == List:
			at := line
			if k.Raw.Length > 0 {
				at = t.lines.of(int(k.Raw.Offset))
			}
			var item *Node
			if item, err = t.value(k, "", at, depth+1); err == nil {
				n.kids = append(n.kids, item)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return n, nil
}
