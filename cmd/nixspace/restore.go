package main

import (
	"context"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type restoreCmd struct {
	Snapshots []string `arg:"" name:"snapshot" help:"The snapshots, as shop@s1."`
	Throwaway bool     `help:"The session shares memory with the snapshot, cannot be hibernated, and is deleted once it stops."`
	Detach    bool     `short:"d" help:"Do not wait until it runs."`
}

// Run starts a new session from each snapshot.
func (c *restoreCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	return startAll(ctx, g, std, api, d, c.Snapshots, c.Detach, func(ref string) (*client.Session, error) {
		return api.RestoreSnapshot(ctx, ref, c.Throwaway)
	})
}
