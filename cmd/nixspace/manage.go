package main

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

// manage does something to an environment as a whole and says so.
func manage(g *globals, std streams, done string, do func(*client.Client) (*client.Environment, error)) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	e, err := do(api)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"environment": e})
	}
	fmt.Fprintf(std.Out, "environment %s  %s\n", e.Ref, done)
	return nil
}

type renameCmd struct {
	Ref  string `arg:"" help:"The environment."`
	Name string `arg:"" help:"Its new name."`
}

// Run gives an environment another name.
func (c *renameCmd) Run(ctx context.Context, g *globals, std streams) error {
	return manage(g, std, "renamed from "+c.Ref, func(api *client.Client) (*client.Environment, error) {
		return api.Rename(ctx, c.Ref, c.Name)
	})
}

type deleteCmd struct {
	Refs []string `arg:"" name:"environment" help:"The environments."`
}

// Help says more than one line about the verb.
func (*deleteCmd) Help() string {
	return "Versions stay, so an environment can be brought back: nixspace undelete NAME."
}

// Run takes environments away.
func (c *deleteCmd) Run(ctx context.Context, g *globals, std streams) error {
	for _, ref := range c.Refs {
		err := manage(g, std, "deleted; nixspace undelete brings it back", func(api *client.Client) (*client.Environment, error) {
			return api.Delete(ctx, ref)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type undeleteCmd struct {
	Ref string `arg:"" help:"The deleted environment's name."`
	As  string `placeholder:"NAME" help:"Bring it back under another name."`
}

// Run brings a deleted environment back.
func (c *undeleteCmd) Run(ctx context.Context, g *globals, std streams) error {
	return manage(g, std, "is back", func(api *client.Client) (*client.Environment, error) {
		return api.Undelete(ctx, c.Ref, c.As)
	})
}

type protectCmd struct {
	Ref string `arg:"" help:"The environment."`
}

// Run makes an environment one that only merges change.
func (c *protectCmd) Run(ctx context.Context, g *globals, std streams) error {
	return manage(g, std, "protected: only merges change it", func(api *client.Client) (*client.Environment, error) {
		return api.Protect(ctx, c.Ref, true)
	})
}

type unprotectCmd struct {
	Ref string `arg:"" help:"The environment."`
}

// Run lets an environment be changed directly again.
func (c *unprotectCmd) Run(ctx context.Context, g *globals, std streams) error {
	return manage(g, std, "no longer protected", func(api *client.Client) (*client.Environment, error) {
		return api.Protect(ctx, c.Ref, false)
	})
}
