package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type migrateDataCmd struct {
	From string `arg:"" help:"The session whose PostgreSQL has the data."`
	To   string `arg:"" help:"The session that gets it; its databases must be empty."`
}

// Help says more than one line about the verb.
func (*migrateDataCmd) Help() string {
	return "For a major upgrade, over which PostgreSQL's files cannot be carried: every database is dumped, read into the other session, and the rows of all tables are counted on both sides. Write to neither meanwhile.\n\nExample: nixspace migrate-data pg15/1 pg16/1"
}

// Run carries the data of one session over to another one.
func (c *migrateDataCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	d.Status(c.To, "reads the data of "+c.From)
	begin := time.Now()
	m, err := api.MigrateData(ctx, c.From, c.To)
	if err != nil {
		return err
	}
	d.Close()
	if g.JSON {
		return printJSON(std.Out, map[string]any{"migration": m})
	}
	_, err = fmt.Fprintf(std.Out, "session %s  has the data of %s: %d databases, %d tables, %d rows, %s of SQL in %s; counted on both sides\n",
		m.To.Ref, m.From.Ref, len(m.Databases), m.Tables, m.Rows, term.Bytes(m.Bytes), term.Duration(time.Since(begin)))
	return err
}
