package main

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type stopCmd struct {
	Sessions []string `arg:"" name:"session" help:"The sessions."`
}

// Run stops sessions.
func (c *stopCmd) Run(ctx context.Context, g *globals, std streams) error {
	return eachSession(ctx, g, std, c.Sessions, "stopped", func(api *client.Client, ref string) (*client.Session, error) {
		return api.StopSession(ctx, ref)
	})
}

// eachSession does something to each session, also after one failed, and
// returns the first error.
func eachSession(ctx context.Context, g *globals, std streams, refs []string, done string, do func(*client.Client, string) (*client.Session, error)) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	var first error
	sessions := []*client.Session{}
	for i, ref := range refs {
		s, err := do(api, ref)
		if err != nil {
			switch {
			case first == nil:
				first = err
			case i > 0 && !g.JSON:
				report(std.Err, false, err)
			}
			continue
		}
		sessions = append(sessions, s)
		if !g.JSON {
			fmt.Fprintf(std.Out, "session %s  %s\n", s.Ref, done)
		}
	}
	if g.JSON {
		if err := printJSON(std.Out, map[string]any{"sessions": sessions}); err != nil {
			return err
		}
	}
	return first
}
