package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

// copies says what the copy of a disk is, for people.
var copies = map[string]string{
	"clean": "everything was written",
	"crash": "as after a power failure: the database recovers when it starts",
}

// withData makes a branch whose first session begins with the data of another.
func (c *branchCmd) withData(ctx context.Context, g *globals, std streams, api *client.Client, d *term.Display, edits []client.Edit) error {
	begin := time.Now()
	b, err := api.BranchWithData(ctx, c.From, c.Name, edits, c.Message, c.DataFrom)
	if err != nil {
		return err
	}
	if !c.Detach {
		if b.Build, err = followBuild(ctx, api, d, b.Build, false); err != nil {
			return err
		}
		s, err := awaitSession(ctx, api, d, b.Session, b.Session.Ref)
		if err != nil {
			return err
		}
		b.Session = s
	}
	d.Close()
	if g.JSON {
		return printJSON(std.Out, b)
	}
	if err := printReady(std.Out, b.Environment.Ref, b.Environment.Head.Hash, b.Build, time.Since(begin)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.Out, "session %s  %s, with a copy of the disk of %s (%s: %s)\n",
		b.Session.Ref, b.Session.Status, b.Source.Ref, b.Consistency, copies[b.Consistency])
	return err
}
