package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// Edit is one change to the text of a manifest.
type Edit struct {
	Op nixspace.ChangeOp // add fails where the key exists; set does not mind
	// Key is a package ("postgresql") or a path: "env.NODE_ENV",
	// "services.postgresql.settings.max_connections", "services.redis" (a whole
	// table, to add or remove). Parts may be quoted as in TOML.
	Key string
	// Value is a version constraint for a package ("" means "*"), and otherwise a
	// TOML value. Where only text will do, it may stand without quotes.
	Value string
}

// Apply makes edits in the text of a manifest, in order, and returns the new
// text. Everything else in it stays as it is: comments, order, spelling. Parsing
// the result gives what the edits mean. It fails with code manifest_invalid where
// text is no valid manifest, manifest_key_exists, manifest_key_unknown, and
// manifest_edit_invalid where an edit makes no sense or its result is invalid.
func Apply(text string, edits []Edit) (string, error) {
	if _, err := Parse(FileName, []byte(text)); err != nil {
		return "", err
	}
	out := []byte(text)
	for _, e := range edits {
		var err error
		if out, err = applyOne(out, e); err != nil {
			return "", err
		}
	}
	if _, err := Parse(FileName, out); err != nil {
		return "", invalidResult(err)
	}
	return string(out), nil
}

// invalidResult words an error in a text that the person who edits did not see.
func invalidResult(err error) error {
	message, hint := err.Error(), ""
	var e *nixspace.Error
	if errors.As(err, &e) {
		message, hint = e.Message, e.Hint
		if ps, ok := e.Details["problems"].([]Problem); ok {
			message = ps[0].Message
		}
	}
	return &nixspace.Error{
		Kind: nixspace.KindInvalid, Code: codeEdit, Hint: hint, Err: err,
		Message: "the manifest would not be valid any more: " + message,
	}
}

func applyOne(text []byte, e Edit) ([]byte, error) {
	doc, err := newDocument(FileName, text)
	if err != nil {
		return nil, invalidResult(err)
	}
	t, err := targetOf(e)
	if err != nil {
		return nil, err
	}
	ed := editor{doc}
	at := ed.find(t.path)
	switch {
	case e.Op == nixspace.ChangeRemove:
		if !ed.exists(t.path) {
			return nil, nixspace.Errorf(nixspace.KindInvalid, codeKeyUnknown, "%s is not in the manifest", e.Key).
				WithHint("%s", didYouMean(t.path[len(t.path)-1], ed.siblings(t.path)))
		}
		return ed.remove(t.path), nil
	case e.Op != nixspace.ChangeAdd && e.Op != nixspace.ChangeSet:
		return nil, nixspace.Errorf(nixspace.KindInvalid, codeEdit, "%s is no edit: add, set and remove are", quote(string(e.Op)))
	case e.Op == nixspace.ChangeAdd && ed.exists(t.path):
		return nil, nixspace.Errorf(nixspace.KindInvalid, codeKeyExists, "%s is in the manifest already", e.Key).
			WithHint("set it to change it")
	case t.kind == kindTable:
		if ed.exists(t.path) {
			return text, nil
		}
		return ed.insertTable(t.path), nil
	case at >= 0:
		return ed.replaceValue(at, t.literal), nil
	}
	return ed.insert(t.path, t.literal), nil
}

// editor changes one document; each method returns a new text.
type editor struct{ *document }

// normal returns a path as the manifest means it: a setting may have dots in its
// name, which TOML also takes for tables.
func normal(path []string) []string {
	if len(path) > 4 && path[0] == "services" && path[2] == "settings" {
		return append(slices.Clone(path[:3]), strings.Join(path[3:], "."))
	}
	return path
}

// find returns the entry that holds the value at path, or -1.
func (ed editor) find(path []string) int {
	return slices.IndexFunc(ed.entries, func(e entry) bool { return !e.header && slices.Equal(normal(e.path), path) })
}

// exists reports whether path is a value or a table.
func (ed editor) exists(path []string) bool {
	return slices.ContainsFunc(ed.entries, func(e entry) bool { return hasPrefix(normal(e.path), path) })
}

// siblings are the keys beside the last part of path.
func (ed editor) siblings(path []string) []string {
	names := map[string]bool{}
	parent := path[:len(path)-1]
	for _, e := range ed.entries {
		if p := normal(e.path); len(p) >= len(path) && hasPrefix(p, parent) {
			names[p[len(path)-1]] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func hasPrefix(path, prefix []string) bool {
	return len(path) >= len(prefix) && slices.Equal(path[:len(prefix)], prefix)
}

// splice returns the text with s replaced.
func (ed editor) splice(s span, by string) []byte {
	return slices.Concat(ed.text[:s.start], []byte(by), ed.text[s.end:])
}

func (ed editor) replaceValue(at int, literal string) []byte {
	e := ed.entries[at]
	var old, now document
	if old.load("v = "+string(ed.text[e.value.start:e.value.end])) && now.load("v = "+literal) && reflect.DeepEqual(old.values, now.values) {
		return ed.text // spelled otherwise, but it says so already
	}
	return ed.splice(e.value, literal)
}

// load parses a scrap of TOML and reports whether it is valid.
func (d *document) load(text string) bool {
	doc, err := newDocument(FileName, []byte(text))
	if err != nil {
		return false
	}
	*d = *doc
	return true
}

// insert adds a value that is not there yet, in the way in which the file writes
// the table that it belongs to.
func (ed editor) insert(path []string, literal string) []byte {
	if i := ed.inlineAbove(path); i >= 0 {
		return ed.insertInline(i, dotted(path[len(ed.entries[i].path):])+" = "+literal)
	}
	parent := path[:len(path)-1]
	if len(parent) == 0 {
		return ed.insertTop(dotted(path) + " = " + literal)
	}
	// Below its table's header.
	if i := slices.IndexFunc(ed.entries, func(e entry) bool { return e.header && slices.Equal(e.path, parent) }); i >= 0 {
		return ed.insertLine(ed.lastOf(i), dotted(path[len(parent):])+" = "+literal)
	}
	// Beside dotted keys that make its table.
	for i := len(ed.entries) - 1; i >= 0; i-- {
		e := ed.entries[i]
		if e.header || e.inline >= 0 || !hasPrefix(e.path, parent) {
			continue
		}
		if under := ed.headerPath(e); len(under) < len(parent) {
			return ed.insertLine(i, dotted(path[len(under):])+" = "+literal)
		}
	}
	return ed.addTable(parent, dotted(path[len(parent):])+" = "+literal)
}

// insertTable adds an empty table that is not there yet.
func (ed editor) insertTable(path []string) []byte {
	if i := ed.inlineAbove(path); i >= 0 {
		return ed.insertInline(i, dotted(path[len(ed.entries[i].path):])+" = {}")
	}
	return ed.addTable(path, "")
}

// inlineAbove returns the innermost entry whose inline table path belongs in, or
// -1. Nothing outside of an inline table may extend it.
func (ed editor) inlineAbove(path []string) int {
	found := -1
	for i, e := range ed.entries {
		if !e.header && len(e.path) < len(path) && hasPrefix(path, e.path) && (found < 0 || len(e.path) > len(ed.entries[found].path)) {
			found = i
		}
	}
	return found
}

func (ed editor) headerPath(e entry) []string {
	if e.table < 0 {
		return nil
	}
	return ed.entries[e.table].path
}

// lastOf returns the last entry under a header, or the header itself.
func (ed editor) lastOf(header int) int {
	last := header
	for i, e := range ed.entries {
		if e.table == header && e.inline < 0 {
			last = i
		}
	}
	return last
}

// insertLine adds a line after that of an entry.
func (ed editor) insertLine(after int, line string) []byte {
	end := ed.line(ed.entries[after].raw).end
	if end == len(ed.text) {
		return ed.splice(span{end, end}, ed.newline()+line+ed.newline())
	}
	if bytes.HasSuffix(ed.text[:end], []byte("\r")) {
		end--
	}
	return ed.splice(span{end, end}, ed.newline()+line)
}

// insertTop adds a key before all tables: after the other such keys, or else
// after the comment that the file begins with.
func (ed editor) insertTop(line string) []byte {
	for i := len(ed.entries) - 1; i >= 0; i-- {
		if e := ed.entries[i]; !e.header && e.table < 0 && e.inline < 0 {
			return ed.insertLine(i, line)
		}
	}
	at := 0
	for rest := ed.text; ; {
		first, more, found := bytes.Cut(rest, []byte("\n"))
		trimmed := bytes.TrimSpace(first)
		if len(trimmed) == 0 && found && at > 0 {
			at += len(first) + 1
			break
		}
		if !found || len(trimmed) == 0 || trimmed[0] != '#' {
			at = 0
			break
		}
		at += len(first) + 1
		rest = more
	}
	nl := ed.newline()
	if at < len(ed.text) {
		nl += nl
	}
	return ed.splice(span{at, at}, line+nl)
}

// insertInline adds a key to the inline table that is the value of an entry.
func (ed editor) insertInline(at int, keyValue string) []byte {
	last := -1
	for i, e := range ed.entries {
		if e.inline == at {
			last = i
		}
	}
	if last >= 0 {
		end := ed.entries[last].raw.end
		return ed.splice(span{end, end}, ", "+keyValue)
	}
	return ed.splice(ed.entries[at].value, "{ "+keyValue+" }")
}

// addTable adds a table with one line in it, or none: after the last table that
// is akin to it, or else at the end.
func (ed editor) addTable(path []string, line string) []byte {
	nl := ed.newline()
	block := "[" + dotted(path) + "]" + nl
	if line != "" {
		block += line + nl
	}
	kin, common := -1, 0
	for i, e := range ed.entries {
		if !e.header {
			continue
		}
		n := 0
		for n < min(len(e.path), len(path)) && e.path[n] == path[n] {
			n++
		}
		if n > 0 && n >= common {
			kin, common = i, n
		}
	}
	if kin >= 0 {
		for _, e := range ed.entries[kin+1:] {
			if e.header {
				at := ed.aboveComments(e.raw.start)
				return ed.splice(span{at, at}, block+nl)
			}
		}
	}
	switch {
	case len(ed.text) == 0:
	case !bytes.HasSuffix(ed.text, []byte("\n")):
		block = nl + nl + block
	case !bytes.HasSuffix(ed.text, []byte("\n\n")) && !bytes.HasSuffix(ed.text, []byte("\n\r\n")):
		block = nl + block
	}
	return ed.splice(span{len(ed.text), len(ed.text)}, block)
}

// aboveComments returns the start of the comment that stands right above a line.
func (ed editor) aboveComments(at int) int {
	for at > 0 {
		start := bytes.LastIndexByte(ed.text[:at-1], '\n') + 1
		line := bytes.TrimSpace(ed.text[start:at])
		if len(line) == 0 || line[0] != '#' || ed.inValue(start) {
			return at
		}
		at = start
	}
	return 0
}

// inValue reports whether an offset is within a value of several lines.
func (ed editor) inValue(at int) bool {
	return slices.ContainsFunc(ed.entries, func(e entry) bool { return !e.header && e.value.start <= at && at < e.value.end })
}

func (ed editor) newline() string {
	if i := bytes.IndexByte(ed.text, '\n'); i > 0 && ed.text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// String describes the edit for people.
func (e Edit) String() string {
	switch {
	case e.Op == nixspace.ChangeRemove:
		return "remove " + e.Key
	case e.Value == "":
		return fmt.Sprintf("%s %s", e.Op, e.Key)
	}
	return fmt.Sprintf("%s %s = %s", e.Op, e.Key, e.Value)
}
