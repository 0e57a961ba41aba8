package nixspace

import (
	"context"
	"strings"
	"time"
)

// GitIdentity is who git in a session says made a commit.
type GitIdentity struct {
	Name  string
	Email string
}

// GitCredential opens repositories of one host over https. What opens them is
// sealed; see package app/gitaccess.
type GitCredential struct {
	UserID     ID
	Host       string // in lower case, with its port where it is not 443
	User       string // goes with the token
	Sealed     []byte
	CreatedAt  time.Time
	LastUsedAt time.Time // zero for never
}

// GitSettings are what a user has told NixSpace for git in sessions.
type GitSettings struct {
	Identity    GitIdentity     // empty where none was set
	Credentials []GitCredential // by host; without what is sealed
}

// GitStore keeps what users told for git.
type GitStore interface {
	// Identity returns an empty one for a user who set none.
	Identity(ctx context.Context, user ID) (GitIdentity, error)
	SetIdentity(ctx context.Context, user ID, i GitIdentity) error
	// Credentials returns a user's, by host, with what is sealed.
	Credentials(ctx context.Context, user ID) ([]GitCredential, error)
	// PutCredential takes the place of the one for the same host.
	PutCredential(ctx context.Context, c GitCredential) error
	DeleteCredential(ctx context.Context, user ID, host string) error
	// Used notes that a credential was lent.
	Used(ctx context.Context, user ID, host string, at time.Time) error
}

// GitTokenUser is the name that goes with a token for a host where a person gives
// none.
func GitTokenUser(host, user string) string {
	switch {
	case user != "":
		return user
	case strings.Contains(host, "gitlab"):
		return "oauth2"
	case strings.Contains(host, "bitbucket"):
		return "x-token-auth"
	}
	return "x-access-token"
}
