package environments

import (
	"context"
	"strings"

	"github.com/nixspace/nixspace"
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
