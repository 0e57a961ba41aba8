package app

import (
	"context"

	"github.com/nixspace/nixspace"
)

// Actor is who asks.
type Actor struct {
	ID   nixspace.ID
	Name string
}

// System acts where nobody asked: jobs, reconciliation, time limits.
var System = Actor{ID: "00000000-0000-4000-8000-000000000000", Name: "nixspace"}

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
		return Actor{}, nixspace.Errorf(nixspace.KindUnauthorized, "no_actor", "nobody is signed in").
			WithHint("sign in, or use the token of a running `nixspace up`")
	}
	return a, nil
}

// asSystem lets the system act where a background job has no actor of its own.
func asSystem(ctx context.Context) context.Context {
	if _, err := ActorFrom(ctx); err == nil {
		return ctx
	}
	return WithActor(ctx, System)
}

// Owner returns the actor of a user's name, and makes the user when it is new.
// It is how a server finds its local owner; it needs no actor.
func (a *App) Owner(ctx context.Context, name string) (Actor, error) {
	if err := checkText("a user's name", name, 255); err != nil {
		return Actor{}, err
	}
	if name == "" {
		return Actor{}, nixspace.Errorf(nixspace.KindInvalid, "name_invalid", "a user needs a name")
	}
	u, err := a.cfg.Store.Read().Projects().EnsureUser(ctx, nixspace.User{ID: nixspace.NewID(), Name: name, CreatedAt: a.now()})
	if err != nil {
		return Actor{}, err
	}
	a.users.Store(u.Name, u.ID)
	return Actor{ID: u.ID, Name: u.Name}, nil
}

// write runs fn in a transaction on behalf of the context's actor, whose user
// record exists by then.
func (a *App) write(ctx context.Context, fn func(Actor, Tx) error) error {
	actor, err := ActorFrom(ctx)
	if err != nil {
		return err
	}
	id, stored := a.users.Load(actor.Name)
	if !stored {
		u, err := a.cfg.Store.Read().Projects().EnsureUser(ctx, nixspace.User{ID: actor.ID, Name: actor.Name, CreatedAt: a.now()})
		if err != nil {
			return err
		}
		id, _ = a.users.LoadOrStore(actor.Name, u.ID)
	}
	actor.ID = id.(nixspace.ID)
	return a.cfg.Store.InTx(ctx, func(tx Tx) error { return fn(actor, tx) })
}

// read gives access to the records on behalf of the context's actor.
func (a *App) read(ctx context.Context) (Tx, error) {
	if _, err := ActorFrom(ctx); err != nil {
		return nil, err
	}
	return a.cfg.Store.Read(), nil
}
