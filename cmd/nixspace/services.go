package main

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type servicesCmd struct {
	Session string `arg:"" help:"The session."`
}

// Run lists the services of a session. It does not wake it.
func (c *servicesCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	s, err := api.Session(ctx, c.Session)
	if err != nil {
		return err
	}
	services := []client.Service{}
	if s.Machine != nil {
		services = append(services, s.Machine.Services...)
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"session": s.Ref, "status": s.Status, "services": services})
	}
	if s.Machine == nil {
		return nixspace.Errorf(nixspace.KindConflict, "session_not_running", "session %s is %s, and so are its services", s.Ref, s.Status).
			WithHint("start it with `nixspace start %s`", s.Ref)
	}
	rows := make([][]string, len(services))
	for i, v := range services {
		rows[i] = []string{v.Name, v.State, fmt.Sprint(v.Restarts), v.Message}
	}
	return table(std.Out, []string{"SERVICE", "STATE", "RESTARTS", "MESSAGE"}, rows)
}
