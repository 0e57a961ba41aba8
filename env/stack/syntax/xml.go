package syntax

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// XML reads XML: elements are tables by their local names, or scalars where there
// is only text in them. An element that stands several times is several children
// of one name. The root node is a table with the root element in it. Entities of
// the file's own are an error.
func XML(text []byte) (*Node, error) {
	dec := xml.NewDecoder(bytes.NewReader(text))
	dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var b builder
	root, err := b.node(Table, "", 1, 0)
	if err != nil {
		return nil, err
	}
	stack := []*Node{root}
	var words []*strings.Builder
	words = append(words, &strings.Builder{})
	for {
		line, _ := dec.InputPos()
		tok, err := dec.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it is no XML: %w", err)
		}
		top := stack[len(stack)-1]
		switch t := tok.(type) {
		case xml.StartElement:
			n, err := b.node(Table, t.Name.Local, line, len(stack))
			if err != nil {
				return nil, err
			}
			top.kids = append(top.kids, n)
			for _, a := range t.Attr {
				k, err := b.node(Scalar, a.Name.Local, line, len(stack)+1)
				if err != nil {
					return nil, err
				}
				k.text = a.Value
				n.kids = append(n.kids, k)
			}
			stack, words = append(stack, n), append(words, &strings.Builder{})
		case xml.EndElement:
			if len(stack) == 1 || top.Name != t.Name.Local {
				return nil, fmt.Errorf("line %d: </%.40s> closes nothing", line, t.Name.Local)
			}
			if len(top.kids) == 0 {
				top.Kind, top.text = Scalar, strings.TrimSpace(words[len(words)-1].String())
			}
			stack, words = stack[:len(stack)-1], words[:len(words)-1]
		case xml.CharData:
			words[len(words)-1].Write(t)
		}
	}
	if len(stack) > 1 {
		return nil, fmt.Errorf("<%.40s> is never closed", stack[len(stack)-1].Name)
	}
	return root, nil
}
