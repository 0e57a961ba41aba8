package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/nixspace/nixspace"
)

type previewCmd struct {
	Session string `arg:"" help:"The session."`
	Port    int    `arg:"" optional:"" help:"The port. Without it, every port on which a program listens is listed."`
}

// Help says more than one line about the verb.
func (*previewCmd) Help() string {
	return "The address that is printed for one port lets a browser in: it is good once, for a minute. The address in the list is for browsers that have been in."
}

// Run prints the addresses of what a session serves.
func (c *previewCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	if c.Port != 0 {
		link, err := api.Preview(ctx, c.Session, c.Port)
		if err != nil {
			return err
		}
		if g.JSON {
			return json.NewEncoder(std.Out).Encode(link)
		}
		_, err = fmt.Fprintln(std.Out, link.Open)
		return err
	}
	view, err := api.View(ctx, c.Session)
	if err != nil {
		return err
	}
	if view == nil {
		return nixspace.Errorf(nixspace.KindConflict, "session_not_running", "session %s does not run", c.Session).
			WithHint("name a port, as in nixspace preview %s 3000, to have an address that wakes it", c.Session)
	}
	type row struct {
		Port    int    `json:"port"`
		Process string `json:"process"`
		URL     string `json:"url"`
	}
	rows := []row{}
	for _, p := range view.Ports {
		link, err := api.Preview(ctx, c.Session, p.Port)
		if err != nil {
			return err
		}
		rows = append(rows, row{p.Port, p.Process, link.URL})
	}
	if g.JSON {
		return json.NewEncoder(std.Out).Encode(rows)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(std.Err, "no program listens on a port")
		return err
	}
	t := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PORT\tPROGRAM\tADDRESS")
	for _, r := range rows {
		_, _ = fmt.Fprintf(t, "%d\t%s\t%s\n", r.Port, r.Process, r.URL)
	}
	return t.Flush()
}
