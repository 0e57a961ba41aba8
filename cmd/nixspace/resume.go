package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
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
	return startAll(ctx, g, std, api, d, c.Sessions, c.Detach, func(ref string) (*client.Session, error) {
		return api.ResumeSession(ctx, ref)
	})
}

// startAll starts a session for each name, all at once, shows them until they
// run, and prints what came of each. It returns the first error.
func startAll(ctx context.Context, g *globals, std streams, api *client.Client, d *term.Display, names []string, detach bool,
	start func(name string) (*client.Session, error),
) error {
	begin := time.Now()
	found := make([]*client.Session, len(names))
	errs := make([]error, len(names))
	took := make([]time.Duration, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			if found[i], errs[i] = start(name); errs[i] == nil && !detach {
				found[i], errs[i] = awaitSession(ctx, api, d, found[i], found[i].Ref)
			}
			took[i] = time.Since(begin)
		})
	}
	wg.Wait()
	d.Close()
	return printStarted(g, std, found, errs, took)
}

// printStarted prints what came of sessions that were started, the first error
// aside, which it returns.
func printStarted(g *globals, std streams, found []*client.Session, errs []error, took []time.Duration) error {
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
		if !s.Is(nixspace.SessionRunning) { // nobody waited
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
