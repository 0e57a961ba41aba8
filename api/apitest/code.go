package apitest

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
)

// AddEnvironment makes an environment as shop is.
func (a *App) AddEnvironment(ctx context.Context, in environments.AddEnvironment) (*nixspace.Environment, *nixspace.Build, error) {
	unlock, err := a.enter(ctx, "AddEnvironment")
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	p := find(a.projects, func(p *nixspace.Project) bool { return p.Slug == in.Project })
	if p == nil {
		return nil, nil, notFound("project", in.Project)
	}
	e := a.newEnvironment(p, in.Name, "")
	v := a.version(e.ID, nil, map[string]string{"nodejs": "22"}, nil, in.Message)
	a.setHead(e, v)
	return copied(e), a.newBuild(v), nil
}

// ChangeCode changes nothing.
func (a *App) ChangeCode(ctx context.Context, in environments.ChangeCode) (*nixspace.Environment, error) {
	return a.Environment(ctx, in.Ref)
}

// CodeOf returns the same code for every environment.
func (a *App) CodeOf(ctx context.Context, _ nixspace.ID) (*nixspace.EnvironmentCode, error) {
	unlock, err := a.enter(ctx, "CodeOf")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return &nixspace.EnvironmentCode{Workspace: digest("code"), Source: "shop"}, nil
}
