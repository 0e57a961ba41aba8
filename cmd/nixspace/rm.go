package main

import (
	"context"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type rmCmd struct {
	Sessions []string `arg:"" name:"session" help:"The sessions."`
	Force    bool     `short:"f" help:"Stop them first where they run."`
}

// Run deletes sessions with their disks.
func (c *rmCmd) Run(ctx context.Context, g *globals, std streams) error {
	return eachSession(ctx, g, std, c.Sessions, "removed", func(api *client.Client, ref string) (*client.Session, error) {
		if c.Force {
			s, err := api.Session(ctx, ref)
			if err != nil {
				return nil, err
			}
			if !s.Ended() {
				if _, err := api.StopSession(ctx, ref); err != nil {
					return nil, err
				}
			}
		}
		return api.RemoveSession(ctx, ref)
	})
}
