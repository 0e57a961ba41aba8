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
