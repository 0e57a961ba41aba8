package syntax

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// YAML reads the first document of a YAML file. Merge keys (<<) and aliases are
// followed one level: what they name is not copied again and again, so a file that
// would grow without end does not.
func YAML(text []byte) (*Node, error) {
	if err := checkYAML(text); err != nil {
		return nil, err
	}
	var doc yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc)
	if errors.Is(err, io.EOF) {
		return &Node{Kind: Table, Line: 1}, nil
	}
	if err != nil {
		return nil, err
	}
	y := &yamlBuilder{lines: 1 + bytes.Count(text, []byte("\n"))}
	at := &doc
	if at.Kind == yaml.DocumentNode && len(at.Content) > 0 {
		at = at.Content[0]
	}
	return y.build(at, "", at.Line, 0, 0)
}

// checkYAML refuses what would take the parser long: it looks at every level of
// indentation and every open bracket again for each line.
func checkYAML(text []byte) error {
	depth := 0
	for _, c := range text {
		switch c {
		case '[', '{':
			if depth++; depth > 4*MaxDepth {
				return errDeep
			}
		case ']', '}':
			depth = max(depth-1, 0)
		case 0:
			return fmt.Errorf("it has a zero byte")
		}
	}
	return nil
}

type yamlBuilder struct {
	builder
	// lines is how many there are: YAML has further line ends, and says of what is
	// left out that it stands behind the last one.
	lines int
}

func (y *yamlBuilder) build(v *yaml.Node, name string, line, depth, aliases int) (*Node, error) {
	if v.Kind == yaml.AliasNode {
		if v.Alias == nil || aliases > 0 {
			return y.node(None, name, min(line, y.lines), depth)
		}
		v, aliases = v.Alias, aliases+1
	}
	kind := Scalar
	switch v.Kind {
	case yaml.SequenceNode:
		kind = List
	case yaml.MappingNode:
		kind = Table
	}
	n, err := y.node(kind, name, min(line, y.lines), depth)
	if err != nil {
		return nil, err
	}
	switch kind {
	case Scalar:
		if v.Tag == "!!null" {
			n.Kind = None
		}
		n.text = v.Value
	case List:
		for _, k := range v.Content {
			item, err := y.build(k, "", k.Line, depth+1, aliases)
			if err != nil {
				return nil, err
			}
			n.kids = append(n.kids, item)
		}
	case Table:
		for i := 0; i+1 < len(v.Content); i += 2 {
			k, val := v.Content[i], v.Content[i+1]
			item, err := y.build(val, k.Value, k.Line, depth+1, aliases)
			if err != nil {
				return nil, err
			}
			if k.Tag == "!!merge" || k.Value == "<<" {
				// What is merged in comes first, so that the table's own keys win.
				n.kids = append(merged(item), n.kids...)
				continue
			}
			n.kids = append(n.kids, item)
		}
	}
	return n, nil
}

func merged(n *Node) []*Node {
	if n.Kind != List {
		return n.kids
	}
	var out []*Node
	for _, k := range n.kids {
		out = append(out, k.kids...)
	}
	return out
}
