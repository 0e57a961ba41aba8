package graph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/nixspace/nixspace"
)

// present turns any error into one that may leave the server. What is no
// [nixspace.Error] and was not found by GraphQL itself is a defect: it is logged
// under a number, and only the number goes out.
func present(log *slog.Logger) graphql.ErrorPresenterFunc {
	return func(ctx context.Context, err error) *gqlerror.Error {
		out := &gqlerror.Error{}
		var located *gqlerror.Error
		if errors.As(err, &located) {
			out.Path, out.Locations, out.Rule = located.Path, located.Locations, located.Rule
		}
		var e *nixspace.Error
		switch {
		case errors.As(err, &e):
		case errors.Is(err, context.Canceled):
			e = nixspace.Errorf(nixspace.KindCanceled, "canceled", "the request was given up")
		case errors.Is(err, context.DeadlineExceeded):
			e = nixspace.Errorf(nixspace.KindUnavailable, "timeout", "the request took too long").WithHint("try again")
		case located != nil && located.Err == nil:
			// GraphQL's own: syntax, validation, limits. Its texts are for people.
			e = requestError(located)
		default:
			id := nixspace.NewID()
			log.ErrorContext(ctx, "request failed", "error_id", id, "path", out.Path.String(), "err", err)
			e = nixspace.Errorf(nixspace.KindInternal, "internal", "internal error %s", id).
				WithHint("the server's log says more under this number").WithDetail("id", string(id))
		}
		out.Message = e.Message
		out.Extensions = map[string]any{"code": e.Code, "kind": string(e.Kind)}
		if e.Hint != "" {
			out.Extensions["hint"] = e.Hint
		}
		if len(e.Details) > 0 {
			out.Extensions["details"] = e.Details
		}
		return out
	}
}

// sortErrors orders errors as their fields stand in the query. Fields are resolved
// side by side, so without this an answer would differ from run to run.
func sortErrors(errs gqlerror.List) {
	slices.SortStableFunc(errs, func(a, b *gqlerror.Error) int {
		return cmp.Or(comparePosition(a.Locations, b.Locations), strings.Compare(a.Path.String(), b.Path.String()))
	})
}

func comparePosition(a, b []gqlerror.Location) int {
	if len(a) == 0 || len(b) == 0 {
		return cmp.Compare(len(a), len(b))
	}
	return cmp.Or(cmp.Compare(a[0].Line, b[0].Line), cmp.Compare(a[0].Column, b[0].Column))
}

func requestError(g *gqlerror.Error) *nixspace.Error {
	code, _ := g.Extensions["code"].(string)
	switch code {
	case "COMPLEXITY_LIMIT_EXCEEDED":
		return nixspace.Errorf(nixspace.KindLimit, "query_too_complex", "%s", g.Message).
			WithHint("ask for fewer items or fields at once")
	case "PERSISTED_QUERY_NOT_FOUND":
		// Clients of persisted queries look for this very message.
		return nixspace.Errorf(nixspace.KindNotFound, "persisted_query_not_found", "%s", g.Message)
	}
	return nixspace.Errorf(nixspace.KindInvalid, "graphql_invalid", "%s", g.Message)
}

// recovered turns a panic into an error, with its stack in the log.
func recovered(log *slog.Logger) graphql.RecoverFunc {
	return func(ctx context.Context, r any) error {
		log.ErrorContext(ctx, "panic in a resolver", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		return fmt.Errorf("panic: %v", r)
	}
}
