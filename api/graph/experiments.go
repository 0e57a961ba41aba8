package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/99designs/gqlgen/graphql"
)

// object reads stored JSON as an object; nil where there is none.
func object(b []byte) (map[string]any, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("read stored JSON: %w", err)
	}
	return m, nil
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// wantsReports reports whether runs are asked for with what their output says, which
// may be long.
func wantsReports(ctx context.Context) bool {
	return slices.ContainsFunc(graphql.CollectFieldsCtx(ctx, nil), func(f graphql.CollectedField) bool {
		return f.Name == "report" || f.Name == "stdout" || f.Name == "stderr"
	})
}
