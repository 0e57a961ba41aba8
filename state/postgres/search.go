package postgres

import (
	"context"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

// likeLiteral makes LIKE take a text as it is.
var likeLiteral = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func (s environments) Search(ctx context.Context, words []string, limit int) ([]nixspace.Environment, error) {
	patterns := make([]string, len(words))
	for i, w := range words {
		patterns[i] = "%" + likeLiteral.Replace(w) + "%"
	}
	rows, err := s.q.SearchEnvironments(ctx, db.SearchEnvironmentsParams{Patterns: patterns, MaxRows: int32(limit)})
	if err != nil {
		return nil, mapError(err, "search environments")
	}
	es := make([]nixspace.Environment, len(rows))
	for i, row := range rows {
		es[i] = *environment(row.Environment, row.Slug)
	}
	return es, nil
}

func (s environments) Page(ctx context.Context, project nixspace.ID, after *nixspace.Environment, limit int) ([]nixspace.Environment, int, error) {
	total, err := s.q.CountEnvironments(ctx, nullID(project))
	if err != nil {
		return nil, 0, mapError(err, "count environments")
	}
	params := db.EnvironmentsPageParams{Project: nullID(project), MaxRows: int32(limit)}
	if after != nil {
		params.AfterProject, params.AfterName = after.Project, after.Name
	}
	rows, err := s.q.EnvironmentsPage(ctx, params)
	if err != nil {
		return nil, 0, mapError(err, "list environments")
	}
	es := make([]nixspace.Environment, len(rows))
	for i, row := range rows {
		es[i] = *environment(row.Environment, row.Slug)
	}
	return es, int(total), nil
}
