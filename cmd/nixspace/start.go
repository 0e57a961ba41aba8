package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type startCmd struct {
	Ref       string `arg:"" help:"An environment or version, or a session that does not run, to start it again."`
	Ephemeral bool   `help:"Delete the session's disk once it stops."`
	Detach    bool   `short:"d" help:"Do not wait until it runs."`
}

// Run starts a session.
func (c *startCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	begin := time.Now()
	s, err := api.StartSession(ctx, c.Ref, c.Ephemeral)
	if err != nil {
		return err
	}
	if !c.Detach {
		if s, err = awaitSession(ctx, api, d, s, s.Ref); err != nil {
			return err
		}
	}
	began, err := api.Session(ctx, string(s.ID))
	if err != nil {
		return err
	}
	s.Prebuilt = began.Prebuilt
	d.Close()
	if g.JSON {
		return printJSON(std.Out, map[string]any{"session": s})
	}
	if s.Prebuilt != nil && s.Prebuilt.Earlier {
		fmt.Fprintf(std.Err, "note: it %s (nixspace exec %s --script %s runs it)\n", beganFrom(s.Prebuilt), s.Ref, nixspace.SetupScript)
	}
	if c.Detach {
		_, err = fmt.Fprintf(std.Out, "session %s  %s\n", s.Ref, s.Status)
		return err
	}
	_, err = fmt.Fprintf(std.Out, "session %s  %s in %s  %s\n", s.Ref, s.Status, term.Duration(time.Since(begin)), term.Clean(s.Isolation))
	return err
}
