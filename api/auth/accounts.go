package auth

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/people"
)

// People are the use cases by which somebody comes in. [people.UseCases] are the
// ones that serve.
type People interface {
	Authenticate(ctx context.Context, kind nixspace.CredentialKind, secret string) (nixspace.Actor, error)
	SignIn(ctx context.Context, in people.SignIn) (*people.Granted, error)
	Join(ctx context.Context, in people.Join) (*people.Granted, error)
	SignOut(ctx context.Context) error
}

// Accounts authenticates those who have an account of the server: by a token in the
// Authorization header, or by the cookie that they got for their password. Others,
// the local owner among them, are left to the one below.
type Accounts struct {
	*Browser
	people People
}

// NewAccounts returns an authenticator over that of the local owner.
func NewAccounts(owner *Browser, p People) *Accounts { return &Accounts{owner, p} }

// Authenticate finds out who asks.
func (a *Accounts) Authenticate(r *http.Request) (nixspace.Actor, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(strings.TrimSpace(token), "nx") {
			actor, err := a.people.Authenticate(r.Context(), nixspace.CredentialToken, strings.TrimSpace(token))
			if nixspace.ErrorKind(err) != nixspace.KindUnauthorized {
				return actor, err
			}
			if owner, ownerErr := a.Browser.Authenticate(r); ownerErr == nil {
				return owner, nil // its token may begin like that
			}
			return actor, err
		}
		return a.Browser.Authenticate(r)
	}
	for _, c := range r.CookiesNamed(accountCookie(r)) {
		actor, err := a.people.Authenticate(r.Context(), nixspace.CredentialBrowser, c.Value)
		if nixspace.ErrorKind(err) != nixspace.KindUnauthorized {
			return actor, err
		}
	}
	return a.Browser.Authenticate(r)
}

// Enter signs in by name and password. With in.Token it returns a token, and
// otherwise gives the browser a cookie.
func (a *Accounts) Enter(w http.ResponseWriter, r *http.Request, in people.SignIn) (*people.Granted, error) {
	got, err := a.people.SignIn(r.Context(), in)
	return a.entered(w, r, got, err, in.Token == "")
}

// Join accepts an invitation, and signs in as Enter does.
func (a *Accounts) Join(w http.ResponseWriter, r *http.Request, in people.Join) (*people.Granted, error) {
	got, err := a.people.Join(r.Context(), in)
	return a.entered(w, r, got, err, in.Token == "")
}

func (a *Accounts) entered(w http.ResponseWriter, r *http.Request, got *people.Granted, err error, cookie bool) (*people.Granted, error) {
	if err != nil || !cookie {
		return got, err
	}
	life := time.Until(got.Credential.ExpiresAt)
	http.SetCookie(w, accountCookieOf(r, got.Secret, int(life/time.Second)))
	got.Secret = "" // it is for the browser alone
	return got, nil
}

// SignOut ends what the browser that sent r came in by, and takes its cookies.
func (a *Accounts) SignOut(w http.ResponseWriter, r *http.Request) {
	if actor, err := a.Authenticate(r); err == nil && actor.Credential != "" {
		// Should it fail, the cookie is gone all the same.
		_ = a.people.SignOut(nixspace.WithActor(r.Context(), actor))
	}
	http.SetCookie(w, accountCookieOf(r, "", -1))
	a.Browser.SignOut(w, r)
}

// accountCookie is the name of the cookie of those with an account.
func accountCookie(r *http.Request) string { return cookieName(r) + "-account" }

func accountCookieOf(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: accountCookie(r), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	}
}
