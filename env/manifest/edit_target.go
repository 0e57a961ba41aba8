package manifest

import (
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/nixspace/nixspace"
)

// target is what an edit is about: a place, and the new value as TOML.
type target struct {
	path    []string
	kind    valueKind
	literal string
}

// valueKind is what a value must be.
type valueKind int

const (
	kindTable      valueKind = iota // no value: a table
	kindText                        // text, quoted or not
	kindConstraint                  // text that is a version constraint
	kindNumber                      // a whole number
	kindList                        // a list of names: TOML, or with commas
	kindNumbers                     // a list of whole numbers: likewise
	kindSetting                     // a TOML value, else text
	kindEgress                      // "none", "full" or a list of hosts
	kindFile                        // the text of a file, quoted or not
)

func editError(format string, args ...any) *nixspace.Error {
	return nixspace.Errorf(nixspace.KindInvalid, codeEdit, format, args...)
}

func targetOf(e Edit) (target, error) {
	path, err := splitKey(e.Key)
	if err != nil {
		return target{}, err
	}
	if len(path) == 1 && !slices.Contains(topLevel, path[0]) {
		path = []string{"packages", path[0]}
	}
	t := target{path: normal(path)}
	if t.kind, err = kindOf(t.path); err != nil {
		return target{}, err
	}
	if e.Op == nixspace.ChangeRemove {
		return t, nil
	}
	if t.kind == kindTable {
		if len(path) != 2 || path[0] != "services" {
			return target{}, editError("%s is a table: name an entry of it", e.Key)
		}
		if e.Value != "" {
			return target{}, editError("%s is a table and has no value of its own", e.Key)
		}
		return t, nil
	}
	t.literal, err = literal(t.kind, e.Key, e.Value)
	return t, err
}

// splitKey reads the dotted key of an edit.
func splitKey(key string) ([]string, error) {
	n, text := scrap(key + " = 0")
	if n == nil || len(key) > 500 {
		return nil, editError("%s is no key of a manifest", quote(key))
	}
	path, at := keyOf(n)
	if string(text[:at.end]) != strings.TrimSpace(key) {
		return nil, editError("%s is no key of a manifest", quote(key))
	}
	return path, nil
}

// scrap parses one key with its value, and nothing else.
func scrap(text string) (*unstable.Node, []byte) {
	text = strings.TrimSpace(text)
	if len(text) > MaxSize || !new(document).load(text) {
		return nil, nil
	}
	var p unstable.Parser
	p.Reset([]byte(text))
	if !p.NextExpression() {
		return nil, nil
	}
	n := p.Expression()
	if n.Kind != unstable.KeyValue || n.Raw.Offset != 0 || int(n.Raw.Length) != len(text) {
		return nil, nil
	}
	return n, []byte(text)
}

// kindOf says what stands at a path in a manifest.
func kindOf(path []string) (valueKind, error) {
	k := path[len(path)-1]
	switch {
	case !slices.Contains(topLevel, path[0]):
		return 0, unknownTarget(path, path[0], topLevel)
	case len(path) == 1:
		switch k {
		case "schema":
			return kindNumber, nil
		case "source":
			return kindText, nil
		}
		return kindTable, nil
	case path[0] == "services":
		return serviceKindOf(path)
	case path[0] == "flake":
		return flakeKindOf(path)
	case path[0] == "checks":
		switch {
		case len(path) == 2:
			return kindTable, nil
		case len(path) == 3 && (path[2] == "command" || path[2] == "timeout"):
			return kindText, nil
		case len(path) == 3 && path[2] == "required":
			return kindSetting, nil
		}
		return 0, unknownTarget(path, path[len(path)-1], []string{"command", "timeout", "required"})
	case path[0] == "schema" || path[0] == "source" || len(path) > 2:
		return 0, editError("there is no %s in a manifest", dotted(path))
	}
	switch path[0] {
	case "packages":
		return kindConstraint, nil
	case "ports":
		return kindNumber, nil
	case "network":
		if k == "egress" {
			return kindEgress, nil
		}
		return 0, unknownTarget(path, k, []string{"egress"})
	case "session":
		if k == "hibernate-after" {
			return kindText, nil
		}
		return 0, unknownTarget(path, k, []string{"hibernate-after"})
	case "resources":
		switch k {
		case "cpus":
			return kindNumber, nil
		case "memory", "disk":
			return kindText, nil
		}
		return 0, unknownTarget(path, k, []string{"cpus", "memory", "disk"})
	}
	return kindText, nil
}

func serviceKindOf(path []string) (valueKind, error) {
	switch {
	case len(path) == 2:
		return kindTable, nil
	case len(path) == 3:
		switch path[2] {
		case "port", "ready-port", "restart-limit":
			return kindNumber, nil
		case "databases", "depends-on":
			return kindList, nil
		case "ports":
			return kindNumbers, nil
		case "command", "directory", "ready", "ready-http", "ready-timeout", "restart", "restart-delay":
			return kindText, nil
		case "settings", "env":
			return kindTable, nil
		}
	case len(path) == 4 && path[2] == "env":
		return kindText, nil
	case len(path) == 4 && path[2] == "settings":
		return kindSetting, nil
	}
	return 0, unknownTarget(path, path[2], append(slices.Clone(otherServiceKeys), "databases", "settings"))
}

func flakeKindOf(path []string) (valueKind, error) {
	switch {
	case path[1] != "files" && path[1] != "inputs":
		return 0, unknownTarget(path, path[1], []string{"files", "inputs"})
	case len(path) == 2:
		return kindTable, nil
	case len(path) == 3 && path[1] == "files":
		return kindFile, nil
	case len(path) == 3:
		return kindText, nil
	}
	return 0, editError("there is no %s in a manifest", dotted(path))
}

func unknownTarget(path []string, part string, known []string) error {
	return editError("there is no %s in a manifest", dotted(path)).WithHint("%s", didYouMean(part, known))
}

// literal writes a value that came with an edit as TOML.
func literal(kind valueKind, key, value string) (string, error) {
	trimmed := strings.TrimSpace(value)
	found := unstable.Invalid
	if n, _ := scrap("v = " + trimmed); n != nil {
		found = n.Value().Kind
	}
	if kind == kindEgress {
		switch {
		case found == unstable.String || found == unstable.Array:
			return trimmed, nil
		case trimmed == EgressNone || trimmed == EgressFull:
			return tomlString(trimmed), nil
		}
		kind = kindList
	}
	switch kind {
	case kindText:
		if found == unstable.String {
			return trimmed, nil
		}
		return tomlText(key, value)
	case kindFile:
		if found == unstable.String {
			var doc document
			if doc.load("v = " + trimmed) {
				value, _ = doc.values["v"].(string)
			}
		}
		if !validText(value) {
			return "", editError("%s must be UTF-8 text", key)
		}
		return Text(value), nil
	case kindConstraint:
		if found == unstable.String {
			return trimmed, nil // Parse looks into it
		}
		if trimmed == "" {
			trimmed = "*"
		}
		c, err := ParseConstraint(trimmed)
		if err != nil {
			return "", editError("%s cannot be set: %w", key, err).WithHint(`examples: 15, 15.18, ">=20 <23", *, latest`)
		}
		return tomlString(c.String()), nil
	case kindNumber:
		if found != unstable.Integer {
			return "", editError("%s must be a whole number, not %s", key, quote(value))
		}
		return trimmed, nil
	case kindNumbers:
		if found == unstable.Array {
			return trimmed, nil
		}
		list := "[" + trimmed + "]"
		if n, _ := scrap("v = " + list); n == nil {
			return "", editError("%s must be a list of whole numbers, not %s", key, quote(value))
		}
		return list, nil
	case kindList:
		if found == unstable.Array {
			return trimmed, nil
		}
		var names []string
		for name := range strings.SplitSeq(value, ",") {
			names = append(names, strings.TrimSpace(name))
		}
		if _, err := tomlText(key, value); err != nil {
			return "", err
		}
		return tomlValue(names), nil
	}
	switch found {
	case unstable.String, unstable.Integer, unstable.Float, unstable.Bool:
		return trimmed, nil
	}
	return tomlText(key, value)
}

func tomlText(key, value string) (string, error) {
	if !validText(value) {
		return "", editError("%s must be UTF-8 text", key)
	}
	return tomlString(value), nil
}
