// Package gitaccess is what git in sessions knows of the people who work there: who
// they are, and what opens their repositories.
//
// A token never enters a machine's disk or environment. While somebody works in a
// session, a helper there asks this server for what opens a host, whenever git needs
// it; when they have left, nobody answers any more. Tokens are sealed in the database
// with a key of the server's own.
package gitaccess

import (
	"context"
	"log/slog"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	"unicode"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

const (
	tokenMax       = 16 << 10
	credentialsMax = 100 // of a user
)

// UseCases are the use cases about git. They are safe for concurrent use.
type UseCases struct {
	records *records.Records
	seal    *sealer // nil without a key
	tasks   *work.Tasks
	log     *slog.Logger

	mu    sync.Mutex
	loans map[loanKey]*loan
}

// Config is what the use cases work with.
type Config struct {
	Records *records.Records
	Key     []byte // 32 secret bytes that seal tokens; without it none are kept
	Tasks   *work.Tasks
	Log     *slog.Logger
}

// New returns the use cases.
func New(cfg Config) *UseCases {
	return &UseCases{records: cfg.Records, seal: newSealer(cfg.Key), tasks: cfg.Tasks, log: cfg.Log, loans: map[loanKey]*loan{}}
}

// GitSettings returns what the actor has told for git. Tokens are not part of it.
func (u *UseCases) GitSettings(ctx context.Context) (*nixspace.GitSettings, error) {
	tx, err := u.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	actor, err := nixspace.ActorFrom(ctx)
	if err != nil {
		return nil, err
	}
	s, err := settings(ctx, tx, actor.ID)
	if err != nil {
		return nil, err
	}
	for i := range s.Credentials {
		s.Credentials[i].Sealed = nil
	}
	return s, nil
}

func settings(ctx context.Context, tx records.Tx, user nixspace.ID) (*nixspace.GitSettings, error) {
	identity, err := tx.Git().Identity(ctx, user)
	if err != nil {
		return nil, err
	}
	credentials, err := tx.Git().Credentials(ctx, user)
	if err != nil {
		return nil, err
	}
	return &nixspace.GitSettings{Identity: identity, Credentials: credentials}, nil
}

// SetGitIdentity says who the actor's commits in sessions are by.
func (u *UseCases) SetGitIdentity(ctx context.Context, i nixspace.GitIdentity) (*nixspace.GitSettings, error) {
	i.Name, i.Email = strings.TrimSpace(i.Name), strings.TrimSpace(i.Email)
	if i.Name == "" || len(i.Name) > 200 || strings.ContainsFunc(i.Name, func(r rune) bool { return unicode.IsControl(r) || r == '<' || r == '>' }) {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "git_name_invalid", "%.80q cannot be the name of an author", i.Name)
	}
	if a, err := mail.ParseAddress(i.Email); err != nil || a.Address != i.Email || len(i.Email) > 200 {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "git_email_invalid", "%.80q is no address of mail", i.Email)
	}
	err := u.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		return tx.Git().SetIdentity(ctx, actor.ID, i)
	})
	if err != nil {
		return nil, err
	}
	return u.GitSettings(ctx)
}

// Host returns a host as credentials name it, from an address or from a host with or
// without a port. It fails with code "git_host_invalid".
func Host(s string) (string, error) {
	invalid := nixspace.Errorf(nixspace.KindInvalid, "git_host_invalid", "%.80q is no host that has repositories over https", s).
		WithHint("name it as github.com or git.example.org:8443")
	text := strings.TrimSpace(s)
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "https" || parsed.User != nil || parsed.Hostname() == "" || len(parsed.Host) > 253 ||
		strings.ContainsFunc(parsed.Host, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '"' || r == '\\' }) {
		return "", invalid
	}
	return strings.TrimSuffix(strings.ToLower(parsed.Host), ":443"), nil
}

// SetGitCredential keeps what opens the repositories of a host for the actor, in the
// place of what did before. user may be empty.
func (u *UseCases) SetGitCredential(ctx context.Context, host, user, token string) (*nixspace.GitSettings, error) {
	host, err := Host(host)
	if err != nil {
		return nil, err
	}
	if token == "" || len(token) > tokenMax || len(user) > 200 || strings.ContainsAny(user+token, "\r\n\x00") {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "git_token_invalid", "the token is empty, too long, or has a line break in it")
	}
	if u.seal == nil {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "secrets_unavailable", "this server has no key to keep secrets with")
	}
	err = u.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		known, err := tx.Git().Credentials(ctx, actor.ID)
		if err != nil {
			return err
		}
		if len(known) >= credentialsMax {
			return nixspace.Errorf(nixspace.KindLimit, "git_credentials_too_many", "nobody may have more than %d credentials", credentialsMax)
		}
		return tx.Git().PutCredential(ctx, nixspace.GitCredential{
			UserID: actor.ID, Host: host, User: nixspace.GitTokenUser(host, user), Sealed: u.seal.seal(actor.ID, host, token), CreatedAt: records.Now(),
		})
	})
	if err != nil {
		return nil, err
	}
	return u.GitSettings(ctx)
}

// RemoveGitCredential forgets what opens a host for the actor.
func (u *UseCases) RemoveGitCredential(ctx context.Context, host string) (*nixspace.GitSettings, error) {
	host, err := Host(host)
	if err != nil {
		return nil, err
	}
	err = u.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		return tx.Git().DeleteCredential(ctx, actor.ID, host)
	})
	if err != nil {
		return nil, err
	}
	return u.GitSettings(ctx)
}
