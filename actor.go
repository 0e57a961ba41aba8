package nixspace

import (
	"context"
)

// Actor is who asks.
type Actor struct {
	ID   ID
	Name string
}

// SystemActor acts where nobody asked: jobs, reconciliation, time limits.
var SystemActor = Actor{ID: "00000000-0000-4000-8000-000000000000", Name: "nixspace"}

type actorKey struct{}

// WithActor returns a context on whose behalf a acts.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom returns the actor of a context. It fails with kind unauthorized
// where there is none. Every use case asks here before it does anything.
func ActorFrom(ctx context.Context) (Actor, error) {
	a, ok := ctx.Value(actorKey{}).(Actor)
	if !ok || !a.ID.Valid() || a.Name == "" {
		return Actor{}, Errorf(KindUnauthorized, "no_actor", "nobody is signed in").
			WithHint("sign in, or use the token of a running `nixspace up`")
	}
	return a, nil
}

// AsSystem lets the system act where a background job has no actor of its own.
func AsSystem(ctx context.Context) context.Context {
	if _, err := ActorFrom(ctx); err == nil {
		return ctx
	}
	return WithActor(ctx, SystemActor)
}
