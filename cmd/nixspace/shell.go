package main

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type shellCmd struct {
	Session string   `arg:"" help:"The session."`
	Env     []string `short:"e" sep:"none" placeholder:"KEY=VALUE" help:"Set a variable in the shell."`
	Dir     string   `short:"w" placeholder:"DIR" help:"Start in this folder (/workspace)."`
}

// Run opens a shell in a session.
func (c *shellCmd) Run(ctx context.Context, g *globals, std streams) error {
	env, err := variables(c.Env)
	if err != nil {
		return err
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	return onTerminal(ctx, std, nixspace.Command{Env: env, Dir: c.Dir}, func(ctx context.Context, cmd nixspace.Command) (*client.Process, error) {
		return api.Shell(ctx, c.Session, cmd)
	})
}
