package records

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
)

// scopedGit lets everybody at what is their own.
type scopedGit struct{ s *scope }

func (g scopedGit) own(user nixspace.ID) error {
	if user == g.s.access.Actor {
		return nil
	}
	return nixspace.Errorf(nixspace.KindNotFound, "user_unknown", "there is no user %s", user)
}

func (g scopedGit) Identity(ctx context.Context, user nixspace.ID) (nixspace.GitIdentity, error) {
	if err := g.own(user); err != nil {
		return nixspace.GitIdentity{}, err
	}
	return g.s.raw().Git().Identity(ctx, user)
}

func (g scopedGit) SetIdentity(ctx context.Context, user nixspace.ID, i nixspace.GitIdentity) error {
	if err := g.own(user); err != nil {
		return err
	}
	return g.s.raw().Git().SetIdentity(ctx, user, i)
}

func (g scopedGit) Credentials(ctx context.Context, user nixspace.ID) ([]nixspace.GitCredential, error) {
	if err := g.own(user); err != nil {
		return nil, err
	}
	return g.s.raw().Git().Credentials(ctx, user)
}

func (g scopedGit) PutCredential(ctx context.Context, c nixspace.GitCredential) error {
	if err := g.own(c.UserID); err != nil {
		return err
	}
	return g.s.raw().Git().PutCredential(ctx, c)
}

func (g scopedGit) DeleteCredential(ctx context.Context, user nixspace.ID, host string) error {
	if err := g.own(user); err != nil {
		return err
	}
	return g.s.raw().Git().DeleteCredential(ctx, user, host)
}

func (g scopedGit) Used(ctx context.Context, user nixspace.ID, host string, at time.Time) error {
	if err := g.own(user); err != nil {
		return err
	}
	return g.s.raw().Git().Used(ctx, user, host, at)
}
