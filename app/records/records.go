// Package records reads and writes the records of NixSpace on behalf of whoever
// asks, and finds them by the references that people give.
package records

import (
	"context"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// Store is the database. Its interface is in the root package because state
// implements it, and state imports nothing that is above the domain.
type Store = nixspace.Database

// Tx is a transaction on the database.
type Tx = nixspace.Tx

// Records is the database as an actor may use it. It is safe for concurrent use.
type Records struct {
	Store Store
	// Quota bounds those who have an account; the local owner and the program itself
	// are not bounded. Set it before the first use.
	Quota Quota
	users sync.Map // user name → nixspace.ID, of users that are stored
}

// New returns the records of a database.
func New(store Store) *Records { return &Records{Store: store} }

// Now is the time in the precision that PostgreSQL keeps.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Owner returns the actor of a user's name, and makes the user when it is new.
// It is how a server finds its local owner; it needs no actor.
func (r *Records) Owner(ctx context.Context, name string) (nixspace.Actor, error) {
	if err := CheckText("a user's name", name, 255); err != nil {
		return nixspace.Actor{}, err
	}
	if name == "" {
		return nixspace.Actor{}, nixspace.Errorf(nixspace.KindInvalid, "name_invalid", "a user needs a name")
	}
	u, err := r.Store.Read().Projects().EnsureUser(ctx, nixspace.User{ID: nixspace.NewID(), Name: name, CreatedAt: Now()})
	if err != nil {
		return nixspace.Actor{}, err
	}
	r.users.Store(u.Name, u.ID)
	return nixspace.Actor{ID: u.ID, Name: u.Name}, nil
}

// Write runs fn in a transaction on behalf of the context's actor, whose user
// record exists by then, and within what they may do (see [nixspace.Access]).
func (r *Records) Write(ctx context.Context, fn func(nixspace.Actor, Tx) error) error {
	actor, err := nixspace.ActorFrom(ctx)
	if err != nil {
		return err
	}
	id, stored := r.users.Load(actor.Name)
	if !stored {
		u, err := r.Store.Read().Projects().EnsureUser(ctx, nixspace.User{ID: actor.ID, Name: actor.Name, CreatedAt: Now()})
		if err != nil {
			return err
		}
		id, _ = r.users.LoadOrStore(actor.Name, u.ID)
	}
	actor.ID = id.(nixspace.ID)
	return r.Store.InTx(ctx, func(tx Tx) error { return fn(actor, r.scoped(ctx, tx)) })
}

// Read gives access to the records on behalf of the context's actor: to those that
// they may see (see [nixspace.Access]).
func (r *Records) Read(ctx context.Context) (Tx, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nil, err
	}
	return r.scoped(ctx, r.Store.Read()), nil
}
