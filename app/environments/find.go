package environments

import (
	"context"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

const maxSearchWords = 8 // more than anybody types to find a name

// SearchEnvironments lists environments whose project/name holds every word of
// the query, in any case; short names first, at most limit. An empty query finds
// all.
func (a *UseCases) SearchEnvironments(ctx context.Context, query string, limit int) ([]nixspace.Environment, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(strings.ToValidUTF8(strings.ReplaceAll(query, "\x00", " "), " "))
	return tx.Environments().Search(ctx, words[:min(len(words), maxSearchWords)], limit)
}

// EnvironmentsPage lists at most limit environments of a project, or of all, from
// the first one after another, or from the beginning where none is named; and says
// how many there are in all. The other one may have been deleted since. It fails
// with kind not_found where there is no such project or environment.
func (a *UseCases) EnvironmentsPage(ctx context.Context, project string, after nixspace.ID, limit int) ([]nixspace.Environment, int, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, 0, err
	}
	var in nixspace.ID
	if project != "" {
		p, err := records.FindProject(ctx, tx, project)
		if err != nil {
			return nil, 0, err
		}
		in = p.ID
	}
	var last *nixspace.Environment
	if after != "" {
		found, err := tx.Environments().ByIDs(ctx, after)
		if err != nil {
			return nil, 0, err
		}
		if len(found) == 0 || in != "" && found[0].ProjectID != in {
			return nil, 0, nixspace.Errorf(nixspace.KindNotFound, "environment_unknown", "there is no environment %q to go on from", after)
		}
		last = &found[0]
	}
	return tx.Environments().Page(ctx, in, last, limit)
}
