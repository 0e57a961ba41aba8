package postgres

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type templates struct{ q *db.Queries }

func (s templates) Create(ctx context.Context, t *nixspace.Template) error {
	err := s.q.InsertTemplate(ctx, db.InsertTemplateParams{
		Name: t.Name, Description: t.Description, Workspace: t.Workspace.Digest, Size: t.Workspace.Size, Files: int32(t.Workspace.Files),
		SavedFrom: t.From, CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy,
	})
	if violates(err, "source_templates_pkey") {
		return templateExists(t.Name)
	}
	return mapError(err, "save a template")
}

func templateExists(name string) error {
	return nixspace.Errorf(nixspace.KindExists, "template_exists", "there is already a template %q", name).
		WithHint("choose another name, or delete that one: nixspace templates rm %s", name)
}

func (s templates) ByName(ctx context.Context, name string) (*nixspace.Template, error) {
	row, err := s.q.TemplateByName(ctx, name)
	if err != nil {
		return nil, oneError(err, "template", name)
	}
	t := savedTemplate(row)
	return &t, nil
}

func (s templates) List(ctx context.Context) ([]nixspace.Template, error) {
	rows, err := s.q.Templates(ctx)
	if err != nil {
		return nil, mapError(err, "list templates")
	}
	out := make([]nixspace.Template, len(rows))
	for i, row := range rows {
		out[i] = savedTemplate(row)
	}
	return out, nil
}

func (s templates) Delete(ctx context.Context, name string) error {
	n, err := s.q.DeleteTemplate(ctx, name)
	if err == nil && n == 0 {
		return notFound("template", name)
	}
	return mapError(err, "delete a template")
}

func savedTemplate(row db.SourceTemplate) nixspace.Template {
	return nixspace.Template{
		Name: row.Name, Description: row.Description, From: row.SavedFrom, CreatedAt: row.CreatedAt.UTC(), CreatedBy: row.CreatedBy,
		Workspace: nixspace.Workspace{Digest: row.Workspace, Size: row.Size, Files: int(row.Files)},
	}
}
