package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type servicesCmd struct {
	Session string   `arg:"" help:"The session."`
	Action  string   `arg:"" optional:"" enum:",start,stop,restart" default:"" placeholder:"start|stop|restart" help:"What to do: start, stop or restart the services that follow. Without it they are listed."`
	Names   []string `arg:"" optional:"" name:"service" help:"The services to start, stop or restart."`
}

// Run lists the services of a session, or does something to some of them.
func (c *servicesCmd) Run(ctx context.Context, g *globals, std streams) error {
	if c.Action != "" && len(c.Names) == 0 {
		return nixspace.Errorf(nixspace.KindInvalid, "usage", "it does not say which services to %s", c.Action).
			WithHint("write nixspace services %s %s NAME", c.Session, c.Action)
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	if c.Action != "" {
		return c.control(ctx, g, std, api)
	}
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
	return servicesTable(std, services)
}

// control does the same to each service in turn, and goes on when one fails.
func (c *servicesCmd) control(ctx context.Context, g *globals, std streams, api *client.Client) error {
	services := []client.Service{}
	var failed error
	for _, name := range c.Names {
		s, err := api.ControlService(ctx, c.Session, name, nixspace.ServiceAction(c.Action))
		switch {
		case err == nil:
			services = append(services, *s)
		case failed == nil:
			failed = err
		default:
			fmt.Fprintln(std.Err, failed)
			failed = err
		}
	}
	if g.JSON {
		if err := printJSON(std.Out, map[string]any{"session": c.Session, "services": services}); err != nil {
			return err
		}
		return failed
	}
	if len(services) > 0 {
		if err := servicesTable(std, services); err != nil {
			return err
		}
	}
	return failed
}

func servicesTable(std streams, services []client.Service) error {
	rows := make([][]string, len(services))
	for i, v := range services {
		exit := ""
		if v.ExitCode != nil {
			exit = strconv.Itoa(*v.ExitCode)
		}
		ports := make([]string, len(v.Ports))
		for j, p := range v.Ports {
			ports[j] = strconv.Itoa(p)
		}
		rows[i] = []string{v.Name, v.State, fmt.Sprint(v.Restarts), exit, strings.Join(ports, " "), firstLine(v.Message)}
	}
	return table(std.Out, []string{"SERVICE", "STATE", "RESTARTS", "EXIT", "PORTS", "MESSAGE"}, rows)
}
