package main

import (
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

// setEdits reads KEY=VALUE arguments.
func setEdits(args []string) ([]client.Edit, error) {
	edits := make([]client.Edit, 0, len(args))
	for _, a := range args {
		key, value, ok := strings.Cut(a, "=")
		if !ok || strings.TrimSpace(key) == "" {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "edit_invalid", "%q sets nothing", a).
				WithHint("write KEY=VALUE: postgresql=13, env.NODE_ENV=test")
		}
		edits = append(edits, client.Edit{Op: "SET", Key: strings.TrimSpace(key), Value: value})
	}
	return edits, nil
}

// addEdits reads PACKAGE or PACKAGE@CONSTRAINT arguments; = does for @.
func addEdits(args []string) ([]client.Edit, error) {
	edits := make([]client.Edit, 0, len(args))
	for _, a := range args {
		name, constraint := a, "*"
		if i := strings.IndexAny(a, "@="); i >= 0 {
			name, constraint = a[:i], a[i+1:]
		}
		if name == "" || constraint == "" {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "edit_invalid", "%q names no package and version", a).
				WithHint("write PACKAGE or PACKAGE@VERSION: redis, postgresql@15")
		}
		edits = append(edits, client.Edit{Op: "ADD", Key: name, Value: constraint})
	}
	return edits, nil
}

// removeEdits reads the names of packages or manifest keys.
func removeEdits(args []string) ([]client.Edit, error) {
	edits := make([]client.Edit, 0, len(args))
	for _, a := range args {
		if a == "" {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "edit_invalid", "an empty name cannot be removed")
		}
		edits = append(edits, client.Edit{Op: "REMOVE", Key: a})
	}
	return edits, nil
}
