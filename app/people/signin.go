package people

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// How long credentials are good.
const (
	browserLife = 30 * 24 * time.Hour
	tokenLife   = 90 * 24 * time.Hour // where nothing else is asked for
	tokenMax    = 366 * 24 * time.Hour
	inviteLife  = 7 * 24 * time.Hour
	usedEvery   = time.Minute // that the last use of one is stored
)

// The secrets begin with what they are, so that one that leaks is recognised.
var prefixes = map[nixspace.CredentialKind]string{
	nixspace.CredentialToken: "nxt_", nixspace.CredentialBrowser: "nxb_", nixspace.CredentialInvite: "nxi_",
}

// newSecret returns 256 random bits as text, and their digest, which alone is
// stored.
func newSecret(kind nixspace.CredentialKind) (secret string, sum []byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	secret = prefixes[kind] + base64.RawURLEncoding.EncodeToString(b[:])
	return secret, digest(secret)
}

func digest(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// from says where a request comes from, for people to recognise it.
func from(ctx context.Context) string {
	o := nixspace.OriginFrom(ctx)
	return clean(o.Address+" "+o.Agent, 200)
}

// SignIn asks for a credential by name and password.
type SignIn struct {
	Name, Password string
	Code           string // one-time password, where the account asks for one
	// Token asks for a token of this name rather than for a cookie.
	Token string
}

// Granted is a new credential and its secret, which is shown only now.
type Granted struct {
	Credential nixspace.Credential
	Secret     string
}

// SignIn gives a credential for a name and a password. It fails with code
// "sign_in_failed" for whatever is wrong of the two, with "code_required" where a
// one-time password is asked for, and with "too_many_tries".
func (u *UseCases) SignIn(ctx context.Context, in SignIn) (*Granted, error) {
	if err := u.tries.try(u.now(), nixspace.OriginFrom(ctx).Address, in.Name[:min(len(in.Name), 255)]); err != nil {
		return nil, err
	}
	a, err := u.store().Accounts().ByName(ctx, in.Name)
	if err != nil && !records.NotFound(err) {
		return nil, err
	}
	if a == nil || !a.DisabledAt.IsZero() {
		a = &nixspace.Account{}
	}
	if err := u.check(ctx, a, in.Password); err != nil {
		return nil, err
	}
	if HasTOTP(a) {
		if in.Code == "" {
			return nil, nixspace.Errorf(nixspace.KindUnauthorized, "code_required", "this account asks for a one-time password").
				WithHint("your authenticator program shows it")
		}
		if err := u.useCode(ctx, a, in.Code); err != nil {
			return nil, err
		}
	}
	c := nixspace.Credential{UserID: a.UserID, User: a.Name, Kind: nixspace.CredentialBrowser, Name: "browser", ExpiresAt: u.now().Add(browserLife)}
	if in.Token != "" {
		c.Kind, c.Name, c.ExpiresAt = nixspace.CredentialToken, in.Token, u.now().Add(tokenLife)
	}
	return u.grant(ctx, c)
}

// check compares a password with an account's.
func (u *UseCases) check(ctx context.Context, a *nixspace.Account, password string) error {
	ok, err := u.verify(ctx, a.Password, password)
	if err != nil {
		return err
	}
	if !ok {
		return nixspace.Errorf(nixspace.KindUnauthorized, "sign_in_failed", "the name or the password is wrong").
			WithHint("an administrator can give you a new invitation: nixspace user invite NAME")
	}
	return nil
}

// grant stores a new credential.
func (u *UseCases) grant(ctx context.Context, c nixspace.Credential) (*Granted, error) {
	if err := records.CheckText("the name of a credential", c.Name, 100); err != nil {
		return nil, err
	}
	secret, sum := newSecret(c.Kind)
	c.ID, c.Hash, c.CreatedAt, c.From = nixspace.NewID(), sum, u.now(), from(ctx)
	if err := u.store().Credentials().Create(ctx, &c); err != nil {
		return nil, err
	}
	return &Granted{Credential: c, Secret: secret}, nil
}

// Authenticate returns who bears a secret of a kind. It fails with kind unauthorized
// for a secret that is none, or is not good any more.
func (u *UseCases) Authenticate(ctx context.Context, kind nixspace.CredentialKind, secret string) (nixspace.Actor, error) {
	refuse := nixspace.Errorf(nixspace.KindUnauthorized, "token_wrong", "the token is not, or is no longer, one of this server").
		WithHint("sign in again: nixspace login")
	if !strings.HasPrefix(secret, prefixes[kind]) || len(secret) > 100 {
		return nixspace.Actor{}, refuse
	}
	c, err := u.store().Credentials().ByHash(ctx, digest(secret))
	if err != nil {
		if records.NotFound(err) {
			err = refuse
		}
		return nixspace.Actor{}, err
	}
	if c.Kind != kind || !c.Good(u.now()) {
		return nixspace.Actor{}, refuse
	}
	if now := u.now(); now.Sub(c.LastUsedAt) > usedEvery {
		if _, err := u.store().Credentials().Use(ctx, c.ID, now); err != nil {
			return nixspace.Actor{}, err
		}
	}
	return nixspace.Actor{ID: c.UserID, Name: c.User, Credential: c.ID}, nil
}

// SignOut ends the credential by which the actor came.
func (u *UseCases) SignOut(ctx context.Context) error {
	actor, err := nixspace.ActorFrom(ctx)
	if err != nil || actor.Credential == "" {
		return err
	}
	_, err = u.store().Credentials().Revoke(ctx, actor.Credential, u.now())
	return err
}

// Join makes an account out of an invitation, or gives the account that it names a
// new password.
type Join struct {
	Code           string // the invitation's secret
	Name, Password string
	Token          string // asks for a token of this name rather than for a cookie
}

// Join accepts an invitation and signs in. It fails with code "invitation_wrong" for
// one that is none, was used up, or has ended.
func (u *UseCases) Join(ctx context.Context, in Join) (*Granted, error) {
	if err := u.tries.try(u.now(), nixspace.OriginFrom(ctx).Address, ""); err != nil {
		return nil, err
	}
	wrong := nixspace.Errorf(nixspace.KindUnauthorized, "invitation_wrong", "the invitation is not, or is no longer, good").
		WithHint("ask for a new one: nixspace user invite NAME")
	store := u.store()
	c, err := store.Credentials().ByHash(ctx, digest(in.Code))
	if err != nil || c.Kind != nixspace.CredentialInvite || !c.Good(u.now()) {
		if err != nil && !records.NotFound(err) {
			return nil, err
		}
		return nil, wrong
	}
	in.Name = cmp.Or(c.Name, in.Name)
	if err := nixspace.CheckName("a user", in.Name); err != nil {
		return nil, err
	}
	if in.Name == nixspace.SystemActor.Name {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "name_invalid", "%q is the name of the system", in.Name)
	}
	if err := checkPassword(in.Name, in.Password); err != nil {
		return nil, err
	}
	hash, err := u.hash(ctx, in.Password)
	if err != nil {
		return nil, err
	}
	var a *nixspace.Account
	err = u.records.Store.InTx(ctx, func(tx records.Tx) error {
		if ok, err := tx.People().Credentials().Use(ctx, c.ID, u.now()); err != nil || !ok {
			return cmp.Or[error](err, wrong)
		}
		a, err = u.accept(ctx, tx, c, in.Name, hash)
		return err
	})
	if err != nil {
		return nil, err
	}
	granted := nixspace.Credential{UserID: a.UserID, User: a.Name, Kind: nixspace.CredentialBrowser, Name: "browser", ExpiresAt: u.now().Add(browserLife)}
	if in.Token != "" {
		granted.Kind, granted.Name, granted.ExpiresAt = nixspace.CredentialToken, in.Token, u.now().Add(tokenLife)
	}
	return u.grant(ctx, granted)
}

// accept makes the account of an invitation, or renews the one that it is for, and
// adds it to the projects.
func (u *UseCases) accept(ctx context.Context, tx records.Tx, c *nixspace.Credential, name, hash string) (*nixspace.Account, error) {
	store, at := tx.People(), u.now()
	a, err := store.Accounts().ByName(ctx, name)
	switch {
	case err == nil && c.Name == "":
		// An open invitation must not open an account that exists.
		return nil, nixspace.Errorf(nixspace.KindExists, "account_exists", "there is already an account %q", name).WithHint("choose another name")
	case err == nil:
		a.Password, a.TOTP = hash, nil
		if err := store.Accounts().Update(ctx, a); err != nil {
			return nil, err
		}
		if err := u.revokeAll(ctx, store, a.UserID); err != nil {
			return nil, err
		}
	case records.NotFound(err):
		a = &nixspace.Account{UserID: nixspace.NewID(), Name: name, Standing: c.Standing, Password: hash, CreatedAt: at}
		id := a.UserID
		if err := store.Accounts().Create(ctx, a); err != nil {
			return nil, err
		}
		if a.UserID != id && c.Name == "" {
			// Somebody acted under this name already: what is theirs is not given away.
			return nil, nixspace.Errorf(nixspace.KindExists, "account_exists", "the name %q is taken", name).WithHint("choose another name")
		}
	default:
		return nil, err
	}
	have, err := store.Members().RolesOf(ctx, a.UserID)
	if err != nil {
		return nil, err
	}
	for _, p := range c.Projects {
		if have[p] != nixspace.RoleNone && have[p].AtLeast(c.Cap) {
			continue
		}
		if err := store.Members().Put(ctx, &nixspace.Member{ProjectID: p, UserID: a.UserID, Role: c.Cap, CreatedAt: at}); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// revokeAll ends all credentials of a user.
func (u *UseCases) revokeAll(ctx context.Context, store nixspace.PeopleStore, user nixspace.ID) error {
	all, err := store.Credentials().List(ctx, user)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Kind == nixspace.CredentialInvite {
			continue
		}
		if _, err := store.Credentials().Revoke(ctx, c.ID, u.now()); err != nil {
			return err
		}
	}
	return nil
}
