package main

import (
	"context"
	"time"
)

type rollbackCmd struct {
	Ref     string `arg:"" help:"The environment."`
	To      string `arg:"" optional:"" name:"version" help:"The version to go back to: a reference, or ~3 or @{yesterday} of the environment. Without one, the version before the head."`
	Message string `short:"m" help:"Say why."`
	Onto    string `placeholder:"HASH" aliases:"expect" help:"Fail if the environment's head is not this version any more."`
	Detach  bool   `short:"d" help:"Do not wait for the build."`
}

// Help says more than one line about the verb.
func (*rollbackCmd) Help() string {
	return "Nothing is lost: going back makes a new version with the old content, so rolling back once more undoes it.\n\nExamples:\n  nixspace rollback shop\n  nixspace rollback shop ~3\n  nixspace rollback shop @{yesterday}"
}

// Run makes a new version that is what an earlier one was.
func (c *rollbackCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	begin := time.Now()
	v, build, err := api.Rollback(ctx, c.Ref, c.To, c.Onto, c.Message)
	if err != nil {
		return err
	}
	return g.printVersionMade(ctx, std, api, v, build, c.Detach, begin)
}
