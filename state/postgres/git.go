package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type gitSettings struct{ q *db.Queries }

func (s gitSettings) Identity(ctx context.Context, user nixspace.ID) (nixspace.GitIdentity, error) {
	row, err := s.q.GitIdentity(ctx, user)
	if errors.Is(err, pgx.ErrNoRows) {
		return nixspace.GitIdentity{}, nil
	}
	return nixspace.GitIdentity{Name: row.Name, Email: row.Email}, mapError(err, "read a git identity")
}

func (s gitSettings) SetIdentity(ctx context.Context, user nixspace.ID, i nixspace.GitIdentity) error {
	return mapError(s.q.SetGitIdentity(ctx, db.SetGitIdentityParams{UserID: user, Name: i.Name, Email: i.Email}), "store a git identity")
}

func (s gitSettings) Credentials(ctx context.Context, user nixspace.ID) ([]nixspace.GitCredential, error) {
	rows, err := s.q.GitCredentials(ctx, user)
	if err != nil {
		return nil, mapError(err, "list git credentials")
	}
	out := make([]nixspace.GitCredential, len(rows))
	for i, r := range rows {
		out[i] = nixspace.GitCredential{UserID: r.UserID, Host: r.Host, User: r.Username, Sealed: r.Sealed, CreatedAt: r.CreatedAt.UTC()}
		if r.LastUsedAt != nil {
			out[i].LastUsedAt = r.LastUsedAt.UTC()
		}
	}
	return out, nil
}

func (s gitSettings) PutCredential(ctx context.Context, c nixspace.GitCredential) error {
	return mapError(s.q.PutGitCredential(ctx, db.PutGitCredentialParams{
		UserID: c.UserID, Host: c.Host, Username: c.User, Sealed: c.Sealed, CreatedAt: c.CreatedAt,
	}), "store a git credential")
}

func (s gitSettings) DeleteCredential(ctx context.Context, user nixspace.ID, host string) error {
	n, err := s.q.DeleteGitCredential(ctx, db.DeleteGitCredentialParams{UserID: user, Host: host})
	if err == nil && n == 0 {
		return notFound("git_credential", host)
	}
	return mapError(err, "delete a git credential")
}

func (s gitSettings) Used(ctx context.Context, user nixspace.ID, host string, at time.Time) error {
	return mapError(s.q.GitCredentialUsed(ctx, db.GitCredentialUsedParams{UserID: user, Host: host, At: at}), "note the use of a git credential")
}
