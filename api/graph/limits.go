package graph

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/graph/gen"
)

// The limits of one request.
const (
	maxDepth         = 12
	maxComplexity    = 20_000
	maxTokens        = 10_000
	maxMessage       = 1 << 20 // bytes of one message on a websocket
	maxSubscriptions = 1_000   // open at once on the whole server
)

// depthLimit refuses operations that nest too deep. Introspection is not
// counted: it is deep by nature and bounded by the schema.
type depthLimit struct{}

func (depthLimit) ExtensionName() string                   { return "DepthLimit" }
func (depthLimit) Validate(graphql.ExecutableSchema) error { return nil }

func (depthLimit) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	if op.Operation == nil || depth(op.Operation.SelectionSet, 0) <= maxDepth {
		return nil
	}
	return gqlerror.Wrap(nixspace.Errorf(nixspace.KindLimit, "query_too_deep", "the query nests deeper than %d levels", maxDepth).
		WithHint("ask in several queries"))
}

// depth returns how deep a selection nests, as soon as it is too deep. The
// document was validated before, so fragments make no cycles.
func depth(set ast.SelectionSet, above int) int {
	if above > maxDepth {
		return above
	}
	deepest := above
	for _, sel := range set {
		d := above
		switch s := sel.(type) {
		case *ast.Field:
			if strings.HasPrefix(s.Name, "__") {
				continue
			}
			d = depth(s.SelectionSet, above+1)
		case *ast.InlineFragment:
			d = depth(s.SelectionSet, above)
		case *ast.FragmentSpread:
			if s.Definition != nil {
				d = depth(s.Definition.SelectionSet, above)
			}
		}
		deepest = max(deepest, d)
	}
	return deepest
}

// subscriptionLimit bounds how many subscriptions are open at once.
type subscriptionLimit struct{ open atomic.Int64 }

func (l *subscriptionLimit) around(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if graphql.GetOperationContext(ctx).Operation.Operation != ast.Subscription {
		return next(ctx)
	}
	if l.open.Add(1) > maxSubscriptions {
		l.open.Add(-1)
		graphql.AddError(ctx, nixspace.Errorf(nixspace.KindLimit, "too_many_subscriptions", "the server has %d subscriptions open already", maxSubscriptions).
			WithHint("close some"))
		return graphql.OneShot(&graphql.Response{Errors: graphql.GetErrors(ctx)})
	}
	context.AfterFunc(ctx, func() { l.open.Add(-1) })
	return next(ctx)
}

// complexity says what fields cost beyond one each: a list costs what one item
// costs, times the items that it may have.
func complexity() gen.ComplexityRoot {
	var c gen.ComplexityRoot
	times := func(child int, first *int) int {
		n := pageDefault
		if first != nil {
			n = min(max(*first, 1), pageMax)
		}
		return 1 + child*n
	}
	c.Query.Projects = func(child int, first *int, _ *string) int { return times(child, first) }
	c.Query.Environments = func(child int, _ *string, first *int, _ *string) int { return times(child, first) }
	c.Query.SearchEnvironments = func(child int, _ string, first *int) int { return times(child, first) }
	c.Query.Sessions = func(child int, _ *string, _ *bool, first *int, _ *string) int { return times(child, first) }
	c.Query.Packages = func(child int, _ string, first *int) int { return times(child, first) }
	c.Query.Log = func(child int, _ []string, _ *string, first *int, _ *string) int { return times(child, first) }
	c.Query.Reflog = func(child int, _ string, first *int, _ *string) int { return times(child, first) }
	c.Query.Blame = func(child int, _ string) int { return times(child, nil) }
	c.Query.Tags = func(child int, _ *string) int { return times(child, nil) }
	c.Project.Environments = func(child int, first *int, _ *string) int { return times(child, first) }
	c.Environment.Versions = func(child int, first *int, _ *string) int { return times(child, first) }
	c.Environment.Sessions = func(child int, _ *bool) int { return times(child, nil) }
	c.Version.Builds = func(child int) int { return 1 + child*10 }
	c.Query.Prebuilds = func(child int, _ *string, first *int, _ *string) int { return times(child, first) }
	c.Prebuild.Log = func(child int, _ *int64, _ *int) int { return 10 + child }
	c.Build.Log = func(child int, _ *int64, _ *int) int { return 10 + child }
	return c
}
