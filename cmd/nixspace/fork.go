package main

import (
	"context"
	"sync"
	"time"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type forkCmd struct {
	Session   string `arg:"" help:"The session: one that runs, is hibernated or is stopped."`
	Count     int    `short:"n" default:"1" placeholder:"N" help:"How many copies to make (${default})."`
	Throwaway bool   `help:"The copies share memory with their origin as far as they can, cannot be hibernated, and are deleted once they stop."`
	Detach    bool   `short:"d" help:"Do not wait until they run."`
}

// Help says more than one line about the verb.
func (*forkCmd) Help() string {
	return "Each copy has the memory and the disk that the session has at this moment: its processes run on in both, and its database goes separate ways. The session itself stands still for a moment and keeps its connections. A stopped session is copied without memory.\n\nExample: nixspace fork shop/1 --count 3"
}

// Run copies a session.
func (c *forkCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	begin := time.Now()
	_, forks, err := api.Fork(ctx, c.Session, c.Count, c.Throwaway)
	if err != nil {
		return err
	}
	found := make([]*client.Session, len(forks))
	errs := make([]error, len(forks))
	took := make([]time.Duration, len(forks))
	var wg sync.WaitGroup
	for i := range forks {
		found[i] = &forks[i]
		if c.Detach {
			continue
		}
		wg.Go(func() {
			found[i], errs[i] = awaitSession(ctx, api, d, &forks[i], forks[i].Ref)
			took[i] = time.Since(begin)
		})
	}
	wg.Wait()
	d.Close()
	return printStarted(g, std, found, errs, took)
}
