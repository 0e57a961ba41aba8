package apitest

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/gitaccess"
)

// GitSettings returns what was set.
func (a *App) GitSettings(ctx context.Context) (*nixspace.GitSettings, error) {
	return a.changeGit(ctx, "GitSettings", func(*nixspace.GitSettings) error { return nil })
}

// SetGitIdentity keeps it.
func (a *App) SetGitIdentity(ctx context.Context, i nixspace.GitIdentity) (*nixspace.GitSettings, error) {
	return a.changeGit(ctx, "SetGitIdentity", func(s *nixspace.GitSettings) error {
		s.Identity = i
		return nil
	})
}

// SetGitCredential keeps all but the token.
func (a *App) SetGitCredential(ctx context.Context, host, user, _ string) (*nixspace.GitSettings, error) {
	return a.changeGit(ctx, "SetGitCredential", func(s *nixspace.GitSettings) error {
		host, err := gitaccess.Host(host)
		if err != nil {
			return err
		}
		s.Credentials = append(s.Credentials, nixspace.GitCredential{Host: host, User: nixspace.GitTokenUser(host, user), CreatedAt: a.now()})
		return nil
	})
}

// RemoveGitCredential forgets one.
func (a *App) RemoveGitCredential(ctx context.Context, host string) (*nixspace.GitSettings, error) {
	return a.changeGit(ctx, "RemoveGitCredential", func(s *nixspace.GitSettings) error {
		for i, c := range s.Credentials {
			if c.Host == host {
				s.Credentials = append(s.Credentials[:i:i], s.Credentials[i+1:]...)
				return nil
			}
		}
		return notFound("git_credential", host)
	})
}

func (a *App) changeGit(ctx context.Context, name string, change func(*nixspace.GitSettings) error) (*nixspace.GitSettings, error) {
	unlock, err := a.enter(ctx, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := change(&a.git); err != nil {
		return nil, err
	}
	s := a.git
	s.Credentials = append([]nixspace.GitCredential(nil), s.Credentials...)
	return &s, nil
}
