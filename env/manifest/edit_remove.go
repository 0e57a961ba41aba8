package manifest

import (
	"bytes"
	"slices"
)

// remove takes a value or a whole table out. A service stays when its last entry
// goes.
func (ed editor) remove(path []string) []byte {
	keep := len(path) > 2 && path[0] == "services"
	for {
		i := ed.removable(path)
		if i < 0 {
			break
		}
		text := ed.removeEntry(i)
		doc, err := newDocument(FileName, text)
		if err != nil {
			// The text stays as invalid as this removal made it: Apply reports it.
			return text
		}
		ed = editor{doc}
	}
	if keep && !ed.exists(path[:2]) {
		return ed.insertTable(path[:2])
	}
	return ed.text
}

// removable returns an entry to remove for path: the outermost first, since it
// takes the others with it.
func (ed editor) removable(path []string) int {
	return slices.IndexFunc(ed.entries, func(e entry) bool { return hasPrefix(normal(e.path), path) })
}

func (ed editor) removeEntry(i int) []byte {
	e := ed.entries[i]
	if e.inline >= 0 {
		return ed.splice(ed.inlineSpan(i), "")
	}
	s := ed.line(e.raw)
	if e.header {
		// With everything under it. The header may only be a part of what goes, but
		// then so are its entries.
		s.end = ed.line(ed.entries[ed.lastOf(i)].raw).end
	}
	return ed.splice(ed.withLineEnd(s, e.header), "")
}

// inlineSpan is what to cut out to remove one entry of an inline table: with the
// comma before or after it.
func (ed editor) inlineSpan(i int) span {
	before, after := -1, -1
	for j, e := range ed.entries {
		if e.inline != ed.entries[i].inline {
			continue
		}
		switch {
		case j < i:
			before = j
		case j > i && after < 0:
			after = j
		}
	}
	e := ed.entries[i]
	switch {
	case after >= 0:
		return span{e.raw.start, ed.entries[after].raw.start}
	case before >= 0:
		return span{ed.entries[before].raw.end, e.raw.end}
	}
	// The only one: all between the braces.
	outer := ed.entries[e.inline].value
	return span{outer.start + 1, outer.end - 1}
}

// withLineEnd extends whole lines by their line end, and by the blank line after
// a table when there is one before it too.
func (ed editor) withLineEnd(s span, table bool) span {
	if s.end < len(ed.text) {
		s.end++
	}
	if !table {
		return s
	}
	before := ed.text[:s.start]
	blankBefore := len(before) == 0 || bytes.HasSuffix(before, []byte("\n\n")) || bytes.HasSuffix(before, []byte("\n\r\n"))
	if !blankBefore {
		return s
	}
	switch rest := ed.text[s.end:]; {
	case bytes.HasPrefix(rest, []byte("\r\n")):
		s.end += 2
	case bytes.HasPrefix(rest, []byte("\n")):
		s.end++
	case len(rest) == 0 && len(before) > 0:
		s.start -= len(before) - len(bytes.TrimRight(before, "\r\n")) - 1
		if bytes.HasSuffix(bytes.TrimRight(before, "\n"), []byte("\r")) {
			s.start++
		}
	}
	return s
}
