package apitest

import (
	"context"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/fetches"
)

// SearchEnvironments finds those whose reference holds the whole query.
func (a *App) SearchEnvironments(ctx context.Context, query string, limit int) ([]nixspace.Environment, error) {
	unlock, err := a.enter(ctx, "SearchEnvironments")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var es []nixspace.Environment
	for _, e := range a.environments {
		if strings.Contains(e.Ref(), query) && len(es) < limit {
			es = append(es, e)
		}
	}
	return es, nil
}

// Readme is the same for all code.
func (a *App) Readme(ctx context.Context, p *nixspace.Project) (*fetches.Readme, error) {
	unlock, err := a.enter(ctx, "Readme")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if p.Workspace == "" {
		return nil, nil
	}
	return &fetches.Readme{Path: "README.md", Text: "# shop\n"}, nil
}
