package client

import (
	"context"
	"time"
)

// GitSettings are what a user has told for git in sessions.
type GitSettings struct {
	Name        string          `json:"name"`
	Email       string          `json:"email"`
	Credentials []GitCredential `json:"credentials"`
}

// GitCredential opens repositories of a host. Its token is never shown.
type GitCredential struct {
	Host       string     `json:"host"`
	User       string     `json:"user"`
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
}

const gitFields = `name email credentials{host user createdAt lastUsedAt}`

func (c *Client) git(ctx context.Context, query string, variables map[string]any) (*GitSettings, error) {
	var out struct{ R *GitSettings }
	err := c.query(ctx, query, variables, &out)
	return out.R, err
}

// GitSettings returns what the user has told.
func (c *Client) GitSettings(ctx context.Context) (*GitSettings, error) {
	return c.git(ctx, `{r:gitSettings{`+gitFields+`}}`, nil)
}

// SetGitIdentity says who commits are by.
func (c *Client) SetGitIdentity(ctx context.Context, name, email string) (*GitSettings, error) {
	return c.git(ctx, `mutation($n:String!,$e:String!){r:setGitIdentity(name:$n,email:$e){`+gitFields+`}}`, map[string]any{"n": name, "e": email})
}

// SetGitCredential keeps what opens a host.
func (c *Client) SetGitCredential(ctx context.Context, host, user, token string) (*GitSettings, error) {
	return c.git(ctx, `mutation($i:SetGitCredentialInput!){r:setGitCredential(input:$i){`+gitFields+`}}`,
		map[string]any{"i": map[string]any{"host": host, "user": user, "token": token}})
}

// RemoveGitCredential forgets what opens a host.
func (c *Client) RemoveGitCredential(ctx context.Context, host string) (*GitSettings, error) {
	return c.git(ctx, `mutation($h:String!){r:removeGitCredential(host:$h){`+gitFields+`}}`, map[string]any{"h": host})
}
