package postgres

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type tags struct{ q *db.Queries }

func (s tags) Create(ctx context.Context, t *nixspace.Tag, replace bool) error {
	p := db.InsertTagParams{
		ProjectID: t.ProjectID, Name: t.Name, VersionID: t.VersionID, Message: t.Message, CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy,
	}
	var err error
	if replace {
		err = s.q.PutTag(ctx, db.PutTagParams(p))
	} else {
		err = s.q.InsertTag(ctx, p)
	}
	if violates(err, "tags_project_name_key") {
		return nixspace.Errorf(nixspace.KindExists, "tag_exists", "there is already a tag %q", t.Ref()).
			WithHint("choose another name, or move it with --force")
	}
	return mapError(err, "create a tag")
}

func (s tags) Named(ctx context.Context, project, name string) ([]nixspace.Tag, error) {
	rows, err := s.q.TagsNamed(ctx, db.TagsNamedParams{Name: name, Project: project})
	if err != nil {
		return nil, mapError(err, "find a tag")
	}
	list := make([]nixspace.Tag, len(rows))
	for i, row := range rows {
		list[i] = tag(row.Tag, row.Slug, row.Author)
	}
	return list, nil
}

func (s tags) List(ctx context.Context, project nixspace.ID) ([]nixspace.Tag, error) {
	rows, err := s.q.Tags(ctx, nullID(project))
	if err != nil {
		return nil, mapError(err, "list tags")
	}
	list := make([]nixspace.Tag, len(rows))
	for i, row := range rows {
		list[i] = tag(row.Tag, row.Slug, row.Author)
	}
	return list, nil
}

func (s tags) At(ctx context.Context, versions ...nixspace.ID) ([]nixspace.Tag, error) {
	rows, err := s.q.TagsAt(ctx, validIDs(versions))
	if err != nil {
		return nil, mapError(err, "find tags")
	}
	list := make([]nixspace.Tag, len(rows))
	for i, row := range rows {
		list[i] = tag(row.Tag, row.Slug, row.Author)
	}
	return list, nil
}

func (s tags) Delete(ctx context.Context, project nixspace.ID, name string) (bool, error) {
	n, err := s.q.DeleteTag(ctx, db.DeleteTagParams{ProjectID: project, Name: name})
	return n > 0, mapError(err, "delete a tag")
}

func tag(row db.Tag, slug, author string) nixspace.Tag {
	return nixspace.Tag{
		ProjectID: row.ProjectID, Project: slug, Name: row.Name, VersionID: row.VersionID, Message: row.Message,
		CreatedAt: row.CreatedAt.UTC(), CreatedBy: row.CreatedBy, Author: author,
	}
}
