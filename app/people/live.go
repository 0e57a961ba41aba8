package people

import (
	"context"
	"errors"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/work"
)

// ErrRevoked is why the context of a request ends whose actor may do less than when
// it began.
var ErrRevoked = nixspace.Errorf(nixspace.KindUnauthorized, "access_revoked", "what you may do here has changed").
	WithHint("sign in again")

// live is a request under way.
type live struct {
	actor  nixspace.Actor
	access *nixspace.Access // nil while it is read
	stale  bool             // something changed while it was read
	cancel context.CancelCauseFunc
}

// Admit returns the context in which a request of an actor runs, with what they may
// do, and what to call when it has ended. The context ends by itself, with cause
// [ErrRevoked], as soon as the actor may do less than when it began: then sockets
// that are open end too. It fails with kind unauthorized for those who may not come
// in any more.
func (u *UseCases) Admit(ctx context.Context, actor nixspace.Actor) (context.Context, func(), error) {
	ctx = nixspace.WithActor(ctx, actor)
	u.mu.Lock()
	local := actor.Credential == "" && u.owner != "" && actor.ID == u.owner
	u.mu.Unlock()
	if local {
		return nixspace.WithAccess(ctx, nil), func() {}, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	l := &live{actor: actor, cancel: cancel}
	// It is watched before its rights are read, so that no change is missed.
	u.mu.Lock()
	u.live[l] = struct{}{}
	u.mu.Unlock()
	done := func() {
		u.mu.Lock()
		delete(u.live, l)
		u.mu.Unlock()
		cancel(nil)
	}
	var access *nixspace.Access
	var credential *nixspace.Credential
	for fresh := false; !fresh; {
		var err error
		if access, credential, err = u.accessOf(ctx, actor); err != nil {
			done()
			return nil, nil, err
		}
		u.mu.Lock()
		if fresh = !l.stale; fresh {
			l.access = access
		}
		l.stale = false
		u.mu.Unlock()
	}
	if !credential.ExpiresAt.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, credential.ExpiresAt, ErrRevoked)
		inner := done
		done = func() { stop(); inner() }
	}
	return nixspace.WithAccess(ctx, access), done, nil
}

// accessOf reads what an actor may do now.
func (u *UseCases) accessOf(ctx context.Context, actor nixspace.Actor) (*nixspace.Access, *nixspace.Credential, error) {
	store := u.store()
	c, err := store.Credentials().ByID(ctx, actor.Credential)
	if err != nil || !c.Good(u.now()) || c.UserID != actor.ID || c.Kind == nixspace.CredentialInvite {
		return nil, nil, refused(err)
	}
	a, err := store.Accounts().ByID(ctx, actor.ID)
	if err != nil || !a.DisabledAt.IsZero() {
		return nil, nil, refused(err)
	}
	roles, err := store.Members().RolesOf(ctx, actor.ID)
	if err != nil {
		return nil, nil, err
	}
	open, err := store.Visibility().Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	hidden, err := store.Visibility().Hidden(ctx, actor.ID)
	if err != nil {
		return nil, nil, err
	}
	access := nixspace.NewAccess(actor.ID, a.Standing, roles)
	access.Cap = c.Cap
	if len(c.Projects) > 0 {
		access.Only = c.Projects
	}
	access.Open, access.Hidden = set(open), set(hidden)
	return access, c, nil
}

func set(ids []nixspace.ID) map[nixspace.ID]bool {
	m := make(map[nixspace.ID]bool, len(ids))
	for _, id := range ids {
		m[id] = true
	}
	return m
}

// refused keeps apart that somebody may not come in from that nobody can tell.
func refused(err error) error {
	if err != nil && nixspace.ErrorKind(err) != nixspace.KindNotFound {
		return err
	}
	return ErrRevoked
}

// Run ends requests whose actors' rights were taken, until ctx ends.
func (u *UseCases) Run(ctx context.Context) error {
	notices, err := u.records.Store.Subscribe(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	for {
		var who nixspace.ID
		if !work.NextNotice(ctx, notices, func(n nixspace.Notice) bool {
			if n.Topic == nixspace.NoticeAccess {
				who = n.ID
			}
			return n.Topic == nixspace.NoticeAccess
		}) {
			return nil
		}
		u.review(ctx, who)
	}
}

// review looks again at the requests of a user, or of everybody.
func (u *UseCases) review(ctx context.Context, who nixspace.ID) {
	u.mu.Lock()
	var affected []*live
	for l := range u.live {
		if who == "" || l.actor.ID == who {
			affected = append(affected, l)
		}
	}
	u.mu.Unlock()
	for _, l := range affected {
		u.mu.Lock()
		before := l.access
		l.stale = before == nil
		u.mu.Unlock()
		if before == nil {
			continue // it is read again
		}
		now, _, err := u.accessOf(ctx, l.actor)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrRevoked):
			l.cancel(ErrRevoked)
		case err != nil:
			// Nobody can tell whether they still may, so they may not.
			u.log.Error("cannot read what somebody may do", "user", l.actor.ID, "error", err)
			l.cancel(ErrRevoked)
		case now.Less(before):
			l.cancel(ErrRevoked)
		}
	}
}
