package graph

import (
	"context"
	"reflect"

	"github.com/99designs/gqlgen/graphql"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/people"
)

// auditPage is how many entries of the audit trail one query may ask for.
const auditPage = 1000

// authorize asks the authorizer before each operation: each root field is one, also
// where one request has several, or the same under several names. What is below a
// root field runs within what it was allowed.
func authorize(a Authorizer) graphql.FieldMiddleware {
	return func(ctx context.Context, next graphql.Resolver) (any, error) {
		fc := graphql.GetFieldContext(ctx)
		if fc == nil || !isRoot(fc.Object) || isMeta(fc.Field.Name) {
			return next(ctx)
		}
		name := fc.Object + "." + fc.Field.Name
		within, err := people.Authorize(ctx, name)
		var out any
		if err == nil {
			out, err = next(within)
		}
		if people.Recorded(name) {
			a.Record(ctx, name, target(fc.Args), err)
		}
		return out, err
	}
}

func isRoot(object string) bool {
	return object == "Query" || object == "Mutation" || object == "Subscription"
}

// isMeta reports whether a field is GraphQL's own.
func isMeta(field string) bool { return len(field) > 2 && field[:2] == "__" }

// targets are the arguments that name what an operation is about, the most telling
// first. Nothing else of a request is recorded.
var targets = []string{
	"Into", "Ref", "Environment", "Session", "Snapshot", "Project", "From", "Slug", "Version", "Name", "ID",
	"ref", "environment", "session", "project", "team", "version", "name", "id",
}

// target says what the arguments of an operation name.
func target(args map[string]any) string {
	for _, key := range targets {
		if v, ok := args[key]; ok {
			if s := text(reflect.ValueOf(v)); s != "" {
				return s
			}
		}
	}
	in := reflect.ValueOf(args["input"])
	if in.Kind() != reflect.Struct {
		return ""
	}
	for _, key := range targets {
		if f := in.FieldByName(key); f.IsValid() {
			if s := text(f); s != "" {
				return s
			}
		}
	}
	return ""
}

func text(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.String {
		return v.String()
	}
	return ""
}

func roleOrNil(r nixspace.Role) *nixspace.Role {
	if r == nixspace.RoleNone {
		return nil
	}
	return &r
}
