package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type resumeCmd struct {
	Sessions []string `arg:"" name:"session" help:"The sessions."`
	Detach   bool     `short:"d" help:"Do not wait until they run."`
}

// Run continues hibernated sessions, all at once.
func (c *resumeCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	begin := time.Now()
	found := make([]*client.Session, len(c.Sessions))
	errs := make([]error, len(c.Sessions))
	took := make([]time.Duration, len(c.Sessions))
	var wg sync.WaitGroup
	for i, ref := range c.Sessions {
		wg.Go(func() {
			if found[i], errs[i] = api.ResumeSession(ctx, ref); errs[i] == nil && !c.Detach {
				found[i], errs[i] = awaitSession(ctx, api, d, found[i], found[i].Ref)
			}
			took[i] = time.Since(begin)
		})
	}
	wg.Wait()
	d.Close()
	return c.print(g, std, found, errs, took)
}

func (c *resumeCmd) print(g *globals, std streams, found []*client.Session, errs []error, took []time.Duration) error {
	var first error
	sessions := []*client.Session{}
	for i, s := range found {
		switch err := errs[i]; {
		case err != nil && first == nil:
			first = err
		case err != nil && !g.JSON:
			report(std.Err, false, err)
		case err == nil:
			sessions = append(sessions, s)
		}
		if errs[i] != nil || g.JSON {
			continue
		}
		if c.Detach {
			fmt.Fprintf(std.Out, "session %s  %s\n", s.Ref, s.Status)
			continue
		}
		fmt.Fprintf(std.Out, "session %s  %s in %s\n", s.Ref, s.Status, term.Duration(took[i]))
		if s.Machine != nil && s.Machine.Fallback != "" {
			fmt.Fprintf(std.Out, "  it booted from its disk, because its memory could not be restored: %s\n", term.Clean(s.Machine.Fallback))
		}
	}
	if g.JSON {
		if err := printJSON(std.Out, map[string]any{"sessions": sessions}); err != nil {
			return err
		}
	}
	return first
}
