package syntax

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// JSON reads JSON. Comments and commas before a closing bracket are allowed, as in
// the configuration files of editors.
func JSON(text []byte) (*Node, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	text = plainJSON(text)
	p := &jsonParser{dec: json.NewDecoder(bytes.NewReader(text)), lines: liner{text: text}}
	p.dec.UseNumber()
	n, err := p.value("", 0, 0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it ends too early")
		}
		return nil, fmt.Errorf("line %d: %w", p.lines.of(int(p.dec.InputOffset())), err)
	}
	return n, nil
}

type jsonParser struct {
	builder
	dec   *json.Decoder
	lines liner
}

// value reads the next value. line is that of its key, or 0.
func (p *jsonParser) value(name string, line, depth int) (*Node, error) {
	tok, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	if line == 0 {
		line = p.lines.of(int(p.dec.InputOffset()) - 1)
	}
	kind := Scalar
	switch tok {
	case json.Delim('{'):
		kind = Table
	case json.Delim('['):
		kind = List
	}
	n, err := p.node(kind, name, line, depth)
	if err != nil {
		return nil, err
	}
	if kind == Scalar {
		switch v := tok.(type) {
		case string:
			n.text = v
		case json.Number:
			n.text = v.String()
		case bool:
			n.text = fmt.Sprint(v)
		case nil:
			n.Kind = None
		}
		return n, nil
	}
	for p.dec.More() {
		key, at := "", 0
		if kind == Table {
			tok, err := p.dec.Token()
			if err != nil {
				return nil, err
			}
			key, _ = tok.(string)
			at = p.lines.of(int(p.dec.InputOffset()) - 1)
		}
		k, err := p.value(key, at, depth+1)
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, k)
	}
	_, err = p.dec.Token() // the closing bracket
	return n, err
}

// plainJSON puts spaces in the place of comments, and of commas that nothing
// follows. Lines stay where they are.
func plainJSON(text []byte) []byte {
	out := bytes.Clone(text)
	blank := func(from, to int) {
		for i := from; i < to; i++ {
			if out[i] != '\n' {
				out[i] = ' '
			}
		}
	}
	comma := -1 // the last one, as long as only space followed
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case c == '"':
			comma = -1
			for i++; i < len(out) && out[i] != '"'; i++ {
				if out[i] == '\\' {
					i++
				}
			}
		case c == '/' && i+1 < len(out) && out[i+1] == '/':
			j := bytes.IndexByte(out[i:], '\n')
			if j < 0 {
				j = len(out) - i
			}
			blank(i, i+j)
			i += j - 1
		case c == '/' && i+1 < len(out) && out[i+1] == '*':
			j := bytes.Index(out[i+2:], []byte("*/"))
			if j < 0 {
				return out // an error, which the parser words
			}
			blank(i, i+j+4)
			i += j + 3
		case c == ',':
			comma = i
		case c == ']' || c == '}':
			if comma >= 0 {
				out[comma] = ' '
			}
			comma = -1
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			comma = -1
		}
	}
	return out
}
