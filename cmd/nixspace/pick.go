package main

import (
	"context"
	"time"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

// pickFlags are what revert and cherry-pick take.
type pickFlags struct {
	Mainline int    `placeholder:"1|2" help:"Of a merge: the parent against which its change is meant."`
	Message  string `short:"m" help:"Say why."`
	Onto     string `placeholder:"HASH" aliases:"expect" help:"Fail if the environment's head is not this version any more."`
	Detach   bool   `short:"d" help:"Do not wait for the build."`
	resolveFlags
}

func (f *pickFlags) run(ctx context.Context, g *globals, std streams, version, into string, pick func(*client.Client, client.PickInput) (*client.Picked, error)) error {
	res, err := f.resolutions()
	if err != nil {
		return err
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	begin := time.Now()
	in := client.PickInput{
		Version: version, Ref: into, Mainline: f.Mainline, Message: f.Message, ExpectedHead: f.Onto, Resolutions: res,
	}
	var out *client.Picked
	err = f.ask(g, std, &in.Resolutions, func() ([]client.Conflict, error) {
		var err error
		if out, err = pick(api, in); err != nil {
			return nil, err
		}
		return out.Conflicts, nil
	})
	if err != nil {
		return err
	}
	if len(out.Conflicts) > 0 {
		return f.refuse(g, std, out, out.Conflicts)
	}
	return g.printVersionMade(ctx, std, api, out.Version, out.Build, f.Detach, begin)
}

type revertCmd struct {
	Version string `arg:"" help:"The version whose change is undone: shop~1, a tag, a hash."`
	In      string `placeholder:"ENVIRONMENT" help:"The environment; without it, the one that the version is of."`
	pickFlags
}

// Help says more than one line about the verb.
func (*revertCmd) Help() string {
	return "A new version is made that lacks what the old one changed, and keeps what came after it.\n\nExample: nixspace revert shop~2"
}

// Run undoes the change of one version.
func (c *revertCmd) Run(ctx context.Context, g *globals, std streams) error {
	return c.run(ctx, g, std, c.Version, c.In, func(api *client.Client, in client.PickInput) (*client.Picked, error) {
		return api.Revert(ctx, in)
	})
}

type cherryPickCmd struct {
	Version string `arg:"" help:"The version whose change is taken over: pg13~1, a tag, a hash."`
	Into    string `required:"" placeholder:"ENVIRONMENT" help:"The environment that gets it."`
	pickFlags
}

// Help says more than one line about the verb.
func (*cherryPickCmd) Help() string {
	return "Example: nixspace cherry-pick pg13 --into shop"
}

// Run makes the change of one version in another environment.
func (c *cherryPickCmd) Run(ctx context.Context, g *globals, std streams) error {
	return c.run(ctx, g, std, c.Version, c.Into, func(api *client.Client, in client.PickInput) (*client.Picked, error) {
		return api.CherryPick(ctx, in)
	})
}
