package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
)

const (
	credentialFields = `id kind name cap projects createdAt expiresAt lastUsedAt madeFrom current`
	userFields       = `id name email standing createdAt disabledAt hasPassword hasTotp`
)

// User is an account of the server.
type User struct {
	ID          nixspace.ID `json:"id"`
	Name        string      `json:"name"`
	Email       string      `json:"email"`
	Standing    lower       `json:"standing"`
	CreatedAt   time.Time   `json:"createdAt"`
	DisabledAt  *time.Time  `json:"disabledAt"`
	HasPassword bool        `json:"hasPassword"`
	HasTOTP     bool        `json:"hasTotp"`
}

// Viewer is who asks.
type Viewer struct {
	ID       nixspace.ID `json:"id"`
	Name     string      `json:"name"`
	Standing lower       `json:"standing"`
	Local    bool        `json:"local"`
}

// Team is a group of users.
type Team struct {
	Name      string    `json:"name"`
	Members   []string  `json:"members"`
	CreatedAt time.Time `json:"createdAt"`
}

// Member is a user or a team in a project.
type Member struct {
	Name      string    `json:"name"`
	Team      bool      `json:"team"`
	Role      lower     `json:"role"`
	CreatedAt time.Time `json:"createdAt"`
}

// Credential is something that lets somebody in.
type Credential struct {
	ID         nixspace.ID   `json:"id"`
	Kind       lower         `json:"kind"`
	Name       string        `json:"name"`
	Cap        *lower        `json:"cap"`
	Projects   []nixspace.ID `json:"projects"`
	CreatedAt  time.Time     `json:"createdAt"`
	ExpiresAt  *time.Time    `json:"expiresAt"`
	LastUsedAt *time.Time    `json:"lastUsedAt"`
	MadeFrom   string        `json:"madeFrom"`
	Current    bool          `json:"current"`
}

// Granted is a new credential with its secret.
type Granted struct {
	Credential Credential `json:"credential"`
	Secret     string     `json:"secret"`
}

// TOTP is what an authenticator program is set up with.
type TOTP struct {
	Secret string `json:"secret"`
	URI    string `json:"uri"`
}

// AuditEntry is one line of the audit trail.
type AuditEntry struct {
	Seq       int64     `json:"seq"`
	At        time.Time `json:"at"`
	Actor     string    `json:"actor"`
	From      string    `json:"from"`
	Operation string    `json:"operation"`
	Target    string    `json:"target"`
	Outcome   string    `json:"outcome"`
}

// Viewer returns who asks.
func (c *Client) Viewer(ctx context.Context) (*Viewer, error) {
	var out struct{ R *Viewer }
	err := c.query(ctx, `query{r:viewer{id name standing local}}`, nil, &out)
	return out.R, err
}

// Users lists the accounts.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	var out struct{ R []User }
	err := c.query(ctx, `query{r:users{`+userFields+`}}`, nil, &out)
	return out.R, err
}

// SetUser changes an account: what is in change.
func (c *Client) SetUser(ctx context.Context, name string, change map[string]any) (*User, error) {
	in := map[string]any{"name": name}
	for k, v := range change {
		in[k] = v
	}
	var out struct{ R *User }
	err := c.query(ctx, `mutation($in:SetUserInput!){r:setUser(input:$in){`+userFields+`}}`, map[string]any{"in": in}, &out)
	return out.R, err
}

// SetPassword gives the viewer another password.
func (c *Client) SetPassword(ctx context.Context, old, password string) error {
	var out struct{ R bool }
	return c.query(ctx, `mutation($o:String!,$n:String!){r:setPassword(old:$o,new:$n)}`, map[string]any{"o": old, "n": password}, &out)
}

// EnrolTOTP makes a secret for one-time passwords.
func (c *Client) EnrolTOTP(ctx context.Context) (*TOTP, error) {
	var out struct{ R *TOTP }
	err := c.query(ctx, `mutation{r:enrolTotp{secret uri}}`, nil, &out)
	return out.R, err
}

// ConfirmTOTP asks for one-time passwords from now on.
func (c *Client) ConfirmTOTP(ctx context.Context, code string) error {
	var out struct{ R bool }
	return c.query(ctx, `mutation($c:String!){r:confirmTotp(code:$c)}`, map[string]any{"c": code}, &out)
}

// RemoveTOTP asks for none any more.
func (c *Client) RemoveTOTP(ctx context.Context, password string) error {
	var out struct{ R bool }
	return c.query(ctx, `mutation($p:String!){r:removeTotp(password:$p)}`, map[string]any{"p": password}, &out)
}

// InviteInput says what to invite to.
type InviteInput struct {
	Name     string  `json:"name"`
	Standing string  `json:"standing"`
	Project  string  `json:"project"`
	Role     *string `json:"role"`
	Uses     int     `json:"uses"`
}

// Invite makes an invitation.
func (c *Client) Invite(ctx context.Context, in InviteInput) (*Granted, error) {
	in.Standing = strings.ToUpper(in.Standing)
	var out struct{ R *Granted }
	err := c.query(ctx, `mutation($in:InviteInput!){r:invite(input:$in){secret credential{`+credentialFields+`}}}`, map[string]any{"in": in}, &out)
	return out.R, err
}

// CreateToken makes a token. The role is empty for all that the viewer may do.
func (c *Client) CreateToken(ctx context.Context, name, role string, projects []string, days int) (*Granted, error) {
	in := map[string]any{"name": name, "projects": append([]string{}, projects...), "days": days}
	if role != "" {
		in["cap"] = strings.ToUpper(role)
	}
	var out struct{ R *Granted }
	err := c.query(ctx, `mutation($in:CreateTokenInput!){r:createToken(input:$in){secret credential{`+credentialFields+`}}}`, map[string]any{"in": in}, &out)
	return out.R, err
}

// Tokens lists what lets the viewer in.
func (c *Client) Tokens(ctx context.Context) ([]Credential, error) {
	var out struct{ R []Credential }
	err := c.query(ctx, `query{r:tokens{`+credentialFields+`}}`, nil, &out)
	return out.R, err
}

// RevokeToken ends a credential.
func (c *Client) RevokeToken(ctx context.Context, ref string) (*Credential, error) {
	var out struct{ R *Credential }
	err := c.query(ctx, `mutation($r:String!){r:revokeToken(ref:$r){`+credentialFields+`}}`, map[string]any{"r": ref}, &out)
	return out.R, err
}

const teamFields = `name members createdAt`

// Teams lists the teams.
func (c *Client) Teams(ctx context.Context) ([]Team, error) {
	var out struct{ R []Team }
	err := c.query(ctx, `query{r:teams{`+teamFields+`}}`, nil, &out)
	return out.R, err
}

// CreateTeam makes a team.
func (c *Client) CreateTeam(ctx context.Context, name string) (*Team, error) {
	var out struct{ R *Team }
	err := c.query(ctx, `mutation($n:String!){r:createTeam(name:$n){`+teamFields+`}}`, map[string]any{"n": name}, &out)
	return out.R, err
}

// DeleteTeam deletes a team.
func (c *Client) DeleteTeam(ctx context.Context, name string) (*Team, error) {
	var out struct{ R *Team }
	err := c.query(ctx, `mutation($n:String!){r:deleteTeam(name:$n){`+teamFields+`}}`, map[string]any{"n": name}, &out)
	return out.R, err
}

// PutTeamMember adds a user to a team, or takes them out.
func (c *Client) PutTeamMember(ctx context.Context, team, user string, in bool) (*Team, error) {
	var out struct{ R *Team }
	err := c.query(ctx, `mutation($t:String!,$u:String!,$m:Boolean!){r:putTeamMember(team:$t,user:$u,member:$m){`+teamFields+`}}`,
		map[string]any{"t": team, "u": user, "m": in}, &out)
	return out.R, err
}

const memberFields = `name team role createdAt`

// Members lists the members of a project.
func (c *Client) Members(ctx context.Context, project string) ([]Member, error) {
	var out struct{ R []Member }
	err := c.query(ctx, `query($p:String!){r:members(project:$p){`+memberFields+`}}`, map[string]any{"p": project}, &out)
	return out.R, err
}

// PutMember gives a role in a project.
func (c *Client) PutMember(ctx context.Context, project, name, role string) (*Member, error) {
	var out struct{ R *Member }
	err := c.query(ctx, `mutation($p:String!,$n:String!,$r:Role!){r:putMember(project:$p,name:$n,role:$r){`+memberFields+`}}`,
		map[string]any{"p": project, "n": name, "r": strings.ToUpper(role)}, &out)
	return out.R, err
}

// RemoveMember takes somebody out of a project.
func (c *Client) RemoveMember(ctx context.Context, project, name string) (*Member, error) {
	var out struct{ R *Member }
	err := c.query(ctx, `mutation($p:String!,$n:String!){r:removeMember(project:$p,name:$n){`+memberFields+`}}`, map[string]any{"p": project, "n": name}, &out)
	return out.R, err
}

// SetVisibility says who may see an environment.
func (c *Client) SetVisibility(ctx context.Context, ref, visibility string) error {
	var out struct{ R struct{ ID string } }
	return c.query(ctx, `mutation($r:String!,$v:Visibility!){r:setVisibility(ref:$r,visibility:$v){id}}`,
		map[string]any{"r": ref, "v": strings.ToUpper(visibility)}, &out)
}

// Audit lists entries of the audit trail after one, oldest first.
func (c *Client) Audit(ctx context.Context, filter map[string]any, after int64, limit int) ([]AuditEntry, error) {
	var out struct{ R []AuditEntry }
	err := c.query(ctx, `query($f:AuditFilterInput!,$a:Int64!,$n:Int!){r:audit(filter:$f,after:$a,first:$n){seq at actor from operation target outcome}}`,
		map[string]any{"f": filter, "a": after, "n": limit}, &out)
	return out.R, err
}

// SignIn asks for a token by name and password, or by an invitation.
type SignIn struct {
	Code     string `json:"code,omitempty"` // of the invitation
	Name     string `json:"name"`
	Password string `json:"password"`
	TOTP     string `json:"totp,omitempty"`
	Token    string `json:"token"` // the name of the token
}

// SignedIn is who signed in, with the token.
type SignedIn struct {
	Name   string `json:"name"`
	Secret string `json:"secret"`
}

// SignIn returns a token of the server.
func (c *Client) SignIn(ctx context.Context, in SignIn) (*SignedIn, error) {
	path := "/api/v1/sign-in"
	if in.Code != "" {
		path = "/api/v1/join"
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode a request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint(path), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, c.readProblem(res)
	}
	var out SignedIn
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(&out); err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	return &out, nil
}
