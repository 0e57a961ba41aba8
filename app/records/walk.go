package records

import (
	"context"

	"github.com/nixspace/nixspace/env/history"
)

// maxPortion bounds how many nodes a search loads at once.
const maxPortion = 4096

// Loader loads nodes of the graph of versions: portion of them at first, then
// more and more, because a search that was not over soon goes far.
func Loader(ctx context.Context, tx Tx, portion int) history.Load {
	return func(hashes []string) ([]history.Node, error) {
		nodes, err := tx.History().Nodes(ctx, hashes, portion)
		portion = min(2*portion, maxPortion)
		return nodes, err
	}
}

// SearchPortion is how many nodes a search for one version loads at first.
const SearchPortion = 32

// Contains reports whether a version follows another, or is the same.
func Contains(ctx context.Context, tx Tx, version, ancestor string) (bool, error) {
	return history.Contains(Loader(ctx, tx, SearchPortion), version, ancestor)
}
