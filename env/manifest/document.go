package manifest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/nixspace/nixspace"
)

// document is the text of a manifest with the place of every key in it.
type document struct {
	file    string
	text    []byte
	values  map[string]any
	entries []entry
}

// entry is one table header or one key with its value.
type entry struct {
	path   []string
	key    span // the key as written, dots included
	raw    span // from the key to the end of the value; for a header, its line
	value  span // empty for a header
	header bool
	table  int // the header that a key stands under; -1 before the first
	inline int // the entry whose inline table a key stands in; -1 elsewhere
}

type span struct{ start, end int }

func newDocument(file string, text []byte) (*document, error) {
	d := &document{file: file, text: text}
	if len(text) > MaxSize {
		return nil, nixspace.Errorf(nixspace.KindInvalid, codeInvalid, "%s is too large: %d bytes, of %d allowed", file, len(text), MaxSize)
	}
	if !utf8.Valid(text) {
		return nil, d.errorAt(invalidUTF8(text), problem{message: "this is not UTF-8 text"})
	}
	// The decoder checks the whole grammar and all rules on redefinition; the
	// index below relies on it.
	decodeErr := toml.Unmarshal(text, &d.values)
	if err := d.index(); err != nil && decodeErr == nil {
		decodeErr = err
	}
	if decodeErr != nil {
		at, message := d.syntaxError(decodeErr)
		return nil, d.errorAt(at, problem{message: message})
	}
	return d, nil
}

// syntaxError returns where go-toml found an error, and its words for it.
func (d *document) syntaxError(err error) (int, string) {
	message := strings.TrimPrefix(err.Error(), "toml: ")
	var de *toml.DecodeError
	if errors.As(err, &de) {
		line, column := de.Position()
		return d.offset(line, column), message
	}
	// Redefinitions come without a place: it is the second of two equal paths.
	seen := map[string]bool{}
	for _, e := range d.entries {
		k := joinKey(e.path)
		if seen[k] {
			return e.key.start, message
		}
		seen[k] = true
	}
	return 0, message
}

func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(text)
}

// index fills entries.
func (d *document) index() error {
	var p unstable.Parser
	p.Reset(d.text)
	var prefix []string
	table := -1
	for p.NextExpression() {
		n := p.Expression()
		switch n.Kind {
		case unstable.Table, unstable.ArrayTable:
			path, key := keyOf(n)
			prefix, table = path, len(d.entries)
			d.entries = append(d.entries, entry{path: path, key: key, raw: d.line(key), header: true, table: -1, inline: -1})
		case unstable.KeyValue:
			d.keyValue(n, prefix, table, -1)
		}
	}
	return p.Error()
}

func (d *document) keyValue(n *unstable.Node, prefix []string, table, inline int) {
	path, key := keyOf(n)
	raw := span{int(n.Raw.Offset), int(n.Raw.Offset + n.Raw.Length)}
	value := span{key.end, raw.end}
	for value.start < value.end && strings.IndexByte(" \t=", d.text[value.start]) >= 0 {
		value.start++
	}
	self := len(d.entries)
	full := append(slices.Clone(prefix), path...)
	d.entries = append(d.entries, entry{path: full, key: key, raw: raw, value: value, table: table, inline: inline})
	if v := n.Value(); v.Kind == unstable.InlineTable {
		it := v.Children()
		for it.Next() {
			if it.Node().Kind == unstable.KeyValue {
				d.keyValue(it.Node(), full, table, self)
			}
		}
	}
}

// keyOf returns the parts of a node's key and the place of the whole.
func keyOf(n *unstable.Node) (path []string, at span) {
	for it := n.Key(); it.Next(); {
		k := it.Node()
		if path == nil {
			at.start = int(k.Raw.Offset)
		}
		at.end = int(k.Raw.Offset + k.Raw.Length)
		path = append(path, string(k.Data))
	}
	return path, at
}

// line returns the line or lines that s lies in, without the line end.
func (d *document) line(s span) span {
	start := bytes.LastIndexByte(d.text[:s.start], '\n') + 1
	end := len(d.text)
	if i := bytes.IndexByte(d.text[s.end:], '\n'); i >= 0 {
		end = s.end + i
	}
	return span{start, end}
}

// find returns the index of the entry at path, or -1: a key or a header, or
// with prefix also the first entry below it (for a table that is only implied).
func (d *document) find(path []string, prefix bool) int {
	below := -1
	for i, e := range d.entries {
		if slices.Equal(e.path, path) {
			return i
		}
		if prefix && below < 0 && len(e.path) > len(path) && slices.Equal(e.path[:len(path)], path) {
			below = i
		}
	}
	return below
}

// offset returns the byte offset of a line and column, both from 1.
func (d *document) offset(line, column int) int {
	at := 0
	for ; line > 1; line-- {
		i := bytes.IndexByte(d.text[at:], '\n')
		if i < 0 {
			return len(d.text)
		}
		at += i + 1
	}
	return min(at+column-1, len(d.text))
}

// joinKey makes a map key of a path.
func joinKey(path []string) string { return strings.Join(path, "\x00") }
