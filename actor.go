package nixspace

import (
	"context"
)

// Actor is who asks.
type Actor struct {
	ID   ID
	Name string
	// Credential is the token or the browser by which they came; empty for the local
	// owner and for the program itself.
	Credential ID
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
// What it does is not bounded by the access of whoever caused it.
func AsSystem(ctx context.Context) context.Context {
	if AccessFrom(ctx) != nil {
		ctx = WithAccess(ctx, nil)
	}
	if _, err := ActorFrom(ctx); err == nil {
		return ctx
	}
	return WithActor(ctx, SystemActor)
}

// Origin is where a request came from, for the audit trail and for people to
// recognise what is theirs.
type Origin struct {
	Address string // IP address
	Agent   string // the program, as it names itself
}

type originKey struct{}

// WithOrigin returns a context of a request that came from o.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginFrom returns where the request of a context came from; nothing where it is
// none.
func OriginFrom(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}
