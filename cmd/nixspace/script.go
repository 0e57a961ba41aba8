package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/env/manifest"
)

// scriptFlag names a command of the manifest, in the place of one on the command
// line.
type scriptFlag struct {
	Script string `placeholder:"NAME" help:"Run this script of the environment's manifest. What stands after -- is added to it."`
}

// command returns what to run in a session: the arguments as they stand, or the
// script in the manifest of the session's version with the arguments behind it.
func (f scriptFlag) command(ctx context.Context, api *client.Client, session string, argv []string) ([]string, error) {
	if f.Script == "" {
		return argv, nil
	}
	s, err := api.Session(ctx, session)
	if err != nil {
		return nil, err
	}
	if s.Version == nil {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "script_unknown", "session %s has no version, and so no scripts", s.Ref)
	}
	v, err := api.Version(ctx, string(s.Version.ID))
	if err != nil {
		return nil, err
	}
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return nil, err
	}
	text, ok := m.Scripts[f.Script]
	if !ok {
		e := nixspace.Errorf(nixspace.KindNotFound, "script_unknown", "the environment of %s has no script %q", s.Ref, f.Script)
		if len(m.Scripts) == 0 {
			return nil, e.WithHint("add one: nixspace set ENVIRONMENT scripts.%s='COMMAND'", f.Script)
		}
		return nil, e.WithHint("it has %s", strings.Join(slices.Sorted(maps.Keys(m.Scripts)), ", "))
	}
	if len(argv) > 0 {
		text += ` "$@"`
	}
	return append([]string{"sh", "-c", text, f.Script}, argv...), nil
}
