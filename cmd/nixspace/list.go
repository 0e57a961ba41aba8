package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type listCmd struct {
	What    string `arg:"" optional:"" enum:"environments,projects,sessions" default:"environments" help:"What to list: environments, projects or sessions (${default})."`
	Project string `placeholder:"PROJECT" help:"Only environments of this project."`
	Match   string `placeholder:"WORDS" help:"Only environments whose project/name holds every word, at most 500."`
	Env     string `placeholder:"ENVIRONMENT" help:"Only sessions of this environment."`
	All     bool   `short:"a" help:"Also sessions that do not run."`
}

// Run lists.
func (c *listCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	var list any
	var header []string
	var rows [][]string
	switch c.What {
	case "projects":
		ps, err := api.Projects(ctx)
		if err != nil {
			return err
		}
		list, header = ps, []string{"PROJECT", "SOURCE", "CREATED"}
		for _, p := range ps {
			rows = append(rows, []string{p.Slug, p.Source, ago(p.CreatedAt)})
		}
	case "sessions":
		ss, err := api.Sessions(ctx, c.Env, c.All)
		if err != nil {
			return err
		}
		list, header = ss, []string{"SESSION", "STATUS", "STARTED", "ISOLATION"}
		for _, s := range ss {
			rows = append(rows, []string{s.Ref, sessionStatus(&s), ago(deref(s.StartedAt)), s.Isolation})
		}
	default:
		es, err := c.environments(ctx, api)
		if err != nil {
			return err
		}
		list, header = es, []string{"ENVIRONMENT", "HEAD", "CHANGED", "PACKAGES"}
		for _, e := range es {
			rows = append(rows, []string{e.Ref, short(e.Head.Hash), ago(e.UpdatedAt), packageList(e.Head.Packages)})
		}
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{c.What: list})
	}
	return table(std.Out, header, rows)
}

func (c *listCmd) environments(ctx context.Context, api *client.Client) ([]client.Environment, error) {
	if c.Match == "" {
		return api.Environments(ctx, c.Project)
	}
	es, err := api.SearchEnvironments(ctx, c.Match)
	if c.Project != "" {
		es = slices.DeleteFunc(es, func(e client.Environment) bool { return !strings.HasPrefix(e.Ref, c.Project+"/") })
	}
	return es, err
}

func sessionStatus(s *client.Session) string {
	if s.Reason != "" {
		return string(s.Status) + ": " + s.Reason
	}
	return string(s.Status)
}

func deref(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
