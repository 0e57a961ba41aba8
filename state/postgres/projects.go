package postgres

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type projects struct{ q *db.Queries }

func (s projects) Create(ctx context.Context, p *nixspace.Project) error {
	err := s.q.InsertProject(ctx, db.InsertProjectParams{
		ID: p.ID, Slug: p.Slug, Source: p.Source, Workspace: nullText(p.Workspace),
		CreatedAt: p.CreatedAt, CreatedBy: p.CreatedBy,
	})
	if violates(err, "projects_slug_key") {
		return nixspace.Errorf(nixspace.KindExists, "project_exists", "there is already a project %q", p.Slug).
			WithHint("choose another name, or branch its environment: nixspace branch %s NAME", p.Slug)
	}
	return mapError(err, "create a project")
}

func (s projects) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Project, error) {
	if !id.Valid() {
		return nil, notFound("project", id)
	}
	row, err := s.q.ProjectByID(ctx, id)
	if err != nil {
		return nil, oneError(err, "project", id)
	}
	return project(row), nil
}

func (s projects) BySlug(ctx context.Context, slug string) (*nixspace.Project, error) {
	row, err := s.q.ProjectBySlug(ctx, slug)
	if err != nil {
		return nil, oneError(err, "project", slug)
	}
	return project(row), nil
}

func (s projects) List(ctx context.Context) ([]nixspace.Project, error) {
	rows, err := s.q.Projects(ctx)
	if err != nil {
		return nil, mapError(err, "list projects")
	}
	ps := make([]nixspace.Project, len(rows))
	for i, row := range rows {
		ps[i] = *project(row)
	}
	return ps, nil
}

func (s projects) EnsureUser(ctx context.Context, u nixspace.User) (*nixspace.User, error) {
	err := s.q.InsertUser(ctx, db.InsertUserParams{ID: u.ID, Name: u.Name, CreatedAt: u.CreatedAt})
	if err != nil {
		return nil, mapError(err, "create a user")
	}
	row, err := s.q.UserByName(ctx, u.Name)
	if err != nil {
		return nil, oneError(err, "user", u.Name)
	}
	return &nixspace.User{ID: row.ID, Name: row.Name, CreatedAt: row.CreatedAt.UTC()}, nil
}

func project(row db.Project) *nixspace.Project {
	p := &nixspace.Project{
		ID: row.ID, Slug: row.Slug, Source: row.Source, CreatedAt: row.CreatedAt.UTC(), CreatedBy: row.CreatedBy,
	}
	if row.Workspace != nil {
		p.Workspace = *row.Workspace
	}
	return p
}
