package apitest

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/suggest"
)

// Suggestions has one with a change, and one without.
func (a *App) Suggestions(ctx context.Context, ref string) ([]suggest.Suggestion, error) {
	if _, err := a.Environment(ctx, ref); err != nil {
		return nil, err
	}
	return []suggest.Suggestion{
		{
			Key: "end_of_life:packages.postgresql", Kind: suggest.EndOfLife, Path: "packages.postgresql", Message: "postgresql 13.23 gets no fixes any more",
			Evidence: []string{"the versioning policy of PostgreSQL: postgresql 13 ended on 2025-11-13"},
			Edits:    []manifest.Edit{{Op: nixspace.ChangeSet, Key: "packages.postgresql", Value: "15"}},
		},
		{
			Key: "disagreement:packages.nodejs", Kind: suggest.Disagreement, Path: "packages.nodejs", Message: "files of the code disagree about nodejs: change one of them",
			Evidence: []string{"`.nvmrc`, line 1, says 22", "`package.json`, line 2, says 20"},
		},
	}, nil
}
