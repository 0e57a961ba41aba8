package main

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type networkCmd struct {
	Session string `arg:"" help:"The session."`
}

// Run shows what a session has reached outside of itself. It does not wake it.
func (c *networkCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	s, err := api.Session(ctx, c.Session)
	if err != nil {
		return err
	}
	var egress *client.Egress
	if s.Machine != nil {
		egress = s.Machine.Egress
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"session": s.Ref, "status": s.Status, "egress": egress})
	}
	switch {
	case s.Machine == nil:
		fmt.Fprintf(std.Out, "session %s is %s\n", s.Ref, s.Status)
		return nil
	case egress == nil:
		fmt.Fprintf(std.Out, "session %s reaches nothing outside of itself; [network] egress in nixspace.toml changes that\n", s.Ref)
		return nil
	}
	fmt.Fprintf(std.Out, "policy %s; %d connections, %d open, %d refused, %d failed; %s sent, %s received\n",
		egress.Policy, egress.Connections, egress.Open, egress.Refused, egress.Failed, term.Bytes(egress.Sent), term.Bytes(egress.Received))
	if len(egress.Hosts) == 0 {
		return nil
	}
	var rows [][]string
	row := func(name string, n client.EgressCount, why string) {
		rows = append(rows, []string{name, fmt.Sprint(n.Connections), fmt.Sprint(n.Refused), fmt.Sprint(n.Failed), term.Bytes(n.Sent), term.Bytes(n.Received), firstLine(why)})
	}
	for _, h := range egress.Hosts {
		row(h.Host, h.EgressCount, h.LastError)
	}
	if egress.More != (client.EgressCount{}) {
		row("others", egress.More, "")
	}
	return table(std.Out, []string{"HOST", "CONNECTIONS", "REFUSED", "FAILED", "SENT", "RECEIVED", "LAST ERROR"}, rows)
}
