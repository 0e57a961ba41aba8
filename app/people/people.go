// Package people knows who may come in, and what they may do: accounts, teams,
// members of projects, credentials, the audit trail, and the one authorizer that
// every surface asks.
package people

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// Config is what people work with. Records and Log are required.
type Config struct {
	Records *records.Records
	Log     *slog.Logger
	// Key encrypts what must be read again: the secrets of one-time passwords. It is
	// 32 bytes that are kept outside of the database; without it nobody can have any.
	Key []byte
}

// UseCases are the use cases about people. They are safe for concurrent use.
// [UseCases.Run] must run while they are used.
type UseCases struct {
	records *records.Records
	log     *slog.Logger
	key     []byte
	now     func() time.Time
	tries   *limits
	hashing chan struct{} // bounds the memory of password hashes

	mu    sync.Mutex
	owner nixspace.ID
	live  map[*live]struct{}
}

// hashesAtOnce is how many passwords are hashed at a time; each takes 19 MiB.
const hashesAtOnce = 4

// New returns the use cases.
func New(cfg Config) *UseCases {
	return &UseCases{
		records: cfg.Records, log: cfg.Log, key: cfg.Key, now: records.Now, tries: newLimits(),
		hashing: make(chan struct{}, hashesAtOnce), live: map[*live]struct{}{},
	}
}

// SetOwner makes sure that the local owner has an account that administers the
// server, and remembers who it is: they need no credential.
func (u *UseCases) SetOwner(ctx context.Context, owner nixspace.Actor) error {
	store := u.store().Accounts()
	a, err := store.ByID(ctx, owner.ID)
	switch {
	case records.NotFound(err):
		err = store.Create(ctx, &nixspace.Account{UserID: owner.ID, Name: owner.Name, Standing: nixspace.StandingAdmin, CreatedAt: u.now()})
	case err == nil && (a.Standing != nixspace.StandingAdmin || !a.DisabledAt.IsZero()):
		a.Standing, a.DisabledAt = nixspace.StandingAdmin, time.Time{}
		err = store.Update(ctx, a)
	}
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.owner = owner.ID
	u.mu.Unlock()
	return nil
}

// store is the records of people, unbounded: what may be done with them is decided
// here.
func (u *UseCases) store() nixspace.PeopleStore { return u.records.Store.Read().People() }

// me returns who acts and the account that they have.
func (u *UseCases) me(ctx context.Context) (nixspace.Actor, *nixspace.Account, error) {
	actor, err := nixspace.ActorFrom(ctx)
	if err != nil {
		return actor, nil, err
	}
	a, err := u.store().Accounts().ByID(ctx, actor.ID)
	return actor, a, err
}

// write runs fn in a transaction on behalf of the actor.
func (u *UseCases) write(ctx context.Context, fn func(nixspace.Actor, nixspace.PeopleStore) error) error {
	return u.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error { return fn(actor, tx.People()) })
}

// Me returns the account of the actor.
func (u *UseCases) Me(ctx context.Context) (*nixspace.Account, error) {
	_, a, err := u.me(ctx)
	return a, err
}
