package security

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/nixspace/nixspace"
)

// TestS01OthersProjectsAreNotThere: somebody of one project asks about another one
// on every way that could tell of it.
func TestS01OthersProjectsAreNotThere(t *testing.T) {
	w := newWorld(t)
	eve := w.user("eve", nixspace.StandingMember, "shop", nixspace.RoleOwner)
	secret := w.start("vault")
	head, err := w.app.Version(w.ctx, "vault")
	if err != nil {
		t.Fatal(err)
	}
	_, all := eve.do(http.MethodPost, "/graphql", map[string]any{"query": `{
		projects{nodes{slug}} environments{nodes{projectSlug name}} sessions(all:true){nodes{environmentRef}} tags{name} log{nodes{hash environments}}
		snapshots(all:true){nodes{id}} members(project:"shop"){name}
	}`})
	if strings.Contains(string(all), "vault") || strings.Contains(string(all), "errors") || !strings.Contains(string(all), "shop") {
		t.Errorf("lists: %s", all)
	}
	for name, query := range map[string]string{
		"by name":      `{environment(ref:"vault"){id}}`,
		"by full name": `{environment(ref:"vault/vault"){id}}`,
		"a project":    `{project(ref:"vault"){id}}`,
		"a version":    `{version(ref:"` + head.VersionHash + `"){manifest}}`,
		"a prefix":     `{version(ref:"` + head.VersionHash[:8] + `"){manifest}}`,
		"an ID":        `{version(ref:"` + string(head.ID) + `"){manifest}}`,
		"a session":    `{session(ref:"` + string(secret.ID) + `"){id}}`,
	} {
		_, b := eve.do(http.MethodPost, "/graphql", map[string]any{"query": query})
		if !strings.Contains(string(b), ":null") && !strings.Contains(string(b), "_unknown") || strings.Contains(string(b), "manifest\":\"") {
			t.Errorf("%s: %s", name, b)
		}
	}
	// A mistake in a name is not answered with the names of others.
	_, b := eve.do(http.MethodPost, "/graphql", map[string]any{"query": `{diff(from:"vaul",to:"shop"){fromRef}}`})
	if strings.Contains(string(b), "vault") {
		t.Errorf("a suggestion tells of it: %s", b)
	}
	for _, query := range []string{
		`mutation{branch(input:{from:"vault",name:"mine"}){environment{id}}}`,
		`mutation{startSession(input:{ref:"vault"}){id}}`,
		`mutation{merge(input:{from:"vault",into:"shop"}){outcome}}`,
		`mutation{putMember(project:"vault",name:"eve",role:OWNER){name}}`,
		`mutation{stopSession(ref:"` + string(secret.ID) + `"){id}}`,
	} {
		if code := eve.ask(query, nil, nil); !slices.Contains(refusals, code) {
			t.Errorf("%s: %q", query, code)
		}
	}
	for _, path := range []string{"/logs", "/exec", "/shell", "/dial/8080", "/files?path=/", "/list?path=/"} {
		if status, b := eve.do(http.MethodGet, "/api/v1/sessions/"+string(secret.ID)+path, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, status, b)
		}
	}
}

// TestS02AliasesDoNotHide: a request that may not be made is hidden among ones that
// may, under another name, in a fragment and several times.
func TestS02AliasesDoNotHide(t *testing.T) {
	w := newWorld(t)
	eve := w.user("eve", nixspace.StandingMember, "shop", nixspace.RoleViewer)
	for _, query := range []string{
		`mutation{viewer:startSession(input:{ref:"shop"}){id}}`,
		`mutation{...f} fragment f on Mutation{a:startSession(input:{ref:"shop"}){id} b:startSession(input:{ref:"shop"}){id}}`,
		`mutation{... on Mutation{setUser(input:{name:"eve",standing:ADMIN}){name}}}`,
		`query{viewer{name} x:audit{seq}}`,
		// What is below a field is bounded by what the field was allowed.
		`mutation{createToken(input:{name:""}){secret} y:protectEnvironment(ref:"shop"){id}}`,
	} {
		_, b := eve.do(http.MethodPost, "/graphql", map[string]any{"query": query})
		if !strings.Contains(string(b), "role_insufficient") && !strings.Contains(string(b), "standing_insufficient") {
			t.Errorf("%s: %s", query, b)
		}
	}
	sessions, err := w.app.Sessions(w.ctx, "shop", true)
	if err != nil || len(sessions) != 1 {
		t.Errorf("there are %d sessions, %v", len(sessions), err)
	}
}

// TestS03NobodyRaisesThemselves: somebody gives themselves, or a friend, more than
// they have.
func TestS03NobodyRaisesThemselves(t *testing.T) {
	w := newWorld(t)
	maint := w.user("maint", nixspace.StandingMember, "shop", nixspace.RoleMaintainer)
	w.user("boss", nixspace.StandingMember, "shop", nixspace.RoleOwner)
	w.user("friend", nixspace.StandingGuest, "", "")
	for query, want := range map[string]string{
		`mutation{putMember(project:"shop",name:"maint",role:OWNER){name}}`:                      "role_insufficient",
		`mutation{putMember(project:"shop",name:"friend",role:OWNER){name}}`:                     "role_insufficient",
		`mutation{removeMember(project:"shop",name:"boss"){name}}`:                               "role_insufficient",
		`mutation{putMember(project:"shop",name:"boss",role:GUEST){name}}`:                       "role_insufficient",
		`mutation{invite(input:{project:"shop",role:OWNER}){secret}}`:                            "role_insufficient",
		`mutation{invite(input:{standing:ADMIN}){secret}}`:                                       "standing_insufficient",
		`mutation{invite(input:{name:"boss",project:"shop",role:GUEST}){secret}}`:                "standing_insufficient",
		`mutation{invite(input:{standing:ADMIN,project:"shop",role:GUEST}){secret}}`:             "standing_insufficient",
		`mutation{setUser(input:{name:"maint",standing:ADMIN}){name}}`:                           "standing_insufficient",
		`mutation{setUser(input:{name:"root",disabled:true}){name}}`:                             "standing_insufficient",
		`mutation{putMember(project:"shop",name:"friend",role:MAINTAINER){name}}`:                "",
		`mutation{invite(input:{project:"shop",role:VIEWER}){secret}}`:                           "",
		`mutation{createTeam(name:"mine"){name}}`:                                                "standing_insufficient",
		`mutation{collectGarbage{size}}`:                                                         "standing_insufficient",
		`mutation{createProject(input:{slug:"x",source:"",manifest:"schema = 1"}){project{id}}}`: "",
	} {
		if code := maint.ask(query, nil, nil); code != want {
			t.Errorf("%s: %q, want %q", query, code, want)
		}
	}
	// Who takes an open invitation of a maintainer is a guest of the server.
	var got struct{ Invite struct{ Secret string } }
	maint.must(`mutation{invite(input:{project:"shop",role:VIEWER,standing:MEMBER}){secret}}`, nil, &got)
	if status, b := (&client{w: w}).do(http.MethodPost, "/api/v1/join", map[string]any{"code": got.Invite.Secret, "name": "boss", "password": password}); codeOf(b) != "account_exists" {
		t.Errorf("an open invitation opens an account that exists: %d %s", status, b)
	}
	if status, _ := (&client{w: w}).do(http.MethodPost, "/api/v1/join", map[string]any{"code": got.Invite.Secret, "name": "newcomer", "password": password}); status != http.StatusOK {
		t.Errorf("join: %d", status)
	}
	if status, b := (&client{w: w}).do(http.MethodPost, "/api/v1/join", map[string]any{"code": got.Invite.Secret, "name": "another", "password": password}); codeOf(b) != "invitation_wrong" {
		t.Errorf("an invitation is good twice: %d %s", status, b)
	}
	users, err := w.app.Users(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		if u.Name == "newcomer" && u.Standing != nixspace.StandingGuest {
			t.Errorf("newcomer is %s", u.Standing)
		}
	}
}

// TestS04TokensAreBounded: a token that may do less than its user is used for more.
func TestS04TokensAreBounded(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada", nixspace.StandingAdmin, "shop", nixspace.RoleOwner)
	var made struct{ CreateToken struct{ Secret string } }
	ada.must(`mutation{createToken(input:{name:"ci",cap:VIEWER,projects:["shop"]}){secret}}`, nil, &made)
	ci := &client{w: w, token: made.CreateToken.Secret}
	for query, want := range map[string]string{
		`{environment(ref:"shop"){id}}`:                   "",
		`{session(ref:"shop/1"){id}}`:                     "",
		`mutation{startSession(input:{ref:"shop"}){id}}`:  "role_insufficient",
		`mutation{startSession(input:{ref:"vault"}){id}}`: "environment_unknown",
		`{audit{seq}}`: "standing_insufficient",
		`mutation{setUser(input:{name:"ada",standing:ADMIN}){name}}`:                             "standing_insufficient",
		`mutation{createProject(input:{slug:"x",source:"",manifest:"schema = 1"}){project{id}}}`: "standing_insufficient",
	} {
		if code := ci.ask(query, nil, nil); code != want {
			t.Errorf("%s: %q, want %q", query, code, want)
		}
	}
	// A token makes no token that may do more.
	ci.must(`mutation{createToken(input:{name:"more",cap:OWNER}){secret}}`, nil, &made)
	more := &client{w: w, token: made.CreateToken.Secret}
	if code := more.ask(`mutation{startSession(input:{ref:"shop"}){id}}`, nil, nil); code != "role_insufficient" {
		t.Errorf("a token made a greater one: %q", code)
	}
	if code := more.ask(`{members(project:"vault"){name}}`, nil, nil); code != "project_unknown" {
		t.Errorf("a token made a wider one: %q", code)
	}
}

// watch opens a socket with a subscription, and returns what ends once it is closed.
func (c *client) watch(query string) <-chan error {
	c.w.t.Helper()
	ctx, cancel := context.WithTimeout(c.w.ctx, limit)
	c.w.t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, c.w.url+"/graphql", &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + c.token}},
	})
	if err != nil {
		c.w.t.Fatal(err)
	}
	c.w.t.Cleanup(func() { conn.CloseNow() })
	for _, m := range []map[string]any{{"type": "connection_init"}, {"id": "1", "type": "subscribe", "payload": map[string]any{"query": query}}} {
		if err := wsjson.Write(ctx, conn, m); err != nil {
			c.w.t.Fatal(err)
		}
	}
	first, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			var m map[string]any
			if err := wsjson.Read(ctx, conn, &m); err != nil {
				ended <- ctx.Err() // nil: the server closed it
				return
			}
			if n == 1 { // after the acknowledgement, the first event
				close(first)
			}
		}
	}()
	select {
	case <-first:
	case <-ctx.Done():
		c.w.t.Fatal("the subscription says nothing")
	}
	return ended
}

// TestS05RevocationEndsSockets: what is open stays open after the right to it was
// taken: by a membership, a team, a token, an account, an environment's visibility.
func TestS05RevocationEndsSockets(t *testing.T) {
	w := newWorld(t)
	owner := w.owner()
	owner.must(`mutation{createTeam(name:"core"){name}}`, nil, nil)
	owner.must(`mutation{putMember(project:"shop",name:"core",role:DEVELOPER){name}}`, nil, nil)
	for name, how := range map[string]func(c *client){
		"membership": func(c *client) {
			owner.must(`mutation{removeMember(project:"shop",name:"u-membership"){name}}`, nil, nil)
		},
		"role": func(c *client) {
			owner.must(`mutation{putMember(project:"shop",name:"u-role",role:GUEST){name}}`, nil, nil)
		},
		"account": func(c *client) {
			owner.must(`mutation{setUser(input:{name:"u-account",disabled:true}){name}}`, nil, nil)
		},
		"token": func(c *client) {
			var all struct {
				Tokens []struct {
					ID      string
					Current bool
				}
			}
			c.must(`{tokens{id current}}`, nil, &all)
			owner.must(`mutation($r:String!){revokeToken(ref:$r){id}}`, map[string]any{"r": all.Tokens[0].ID}, nil)
		},
		"team": func(c *client) {
			owner.must(`mutation{putTeamMember(team:"core",user:"u-team",member:false){name}}`, nil, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			project := "shop"
			if name == "team" {
				project = ""
			}
			c := w.user("u-"+name, nixspace.StandingMember, project, nixspace.RoleDeveloper)
			if name == "team" {
				owner.must(`mutation{putTeamMember(team:"core",user:"u-team"){name}}`, nil, nil)
			}
			ended := c.watch(`subscription{sessionUpdates(ref:"shop/1"){session{id}}}`)
			other := w.user("other-"+name, nixspace.StandingMember, "shop", nixspace.RoleDeveloper)
			stays := other.watch(`subscription{sessionUpdates(ref:"shop/1"){session{id}}}`)
			how(c)
			if err := <-ended; err != nil {
				t.Errorf("the socket did not end: %v", err)
			}
			if code := c.ask(`{session(ref:"shop/1"){id}}`, nil, nil); code == "" {
				if status, b := c.do(http.MethodGet, "/api/v1/sessions/shop%2F1/logs", nil); status == http.StatusOK {
					t.Errorf("the right is still there: %s", b)
				}
			}
			select {
			case <-stays:
				t.Error("the socket of somebody else ended too")
			default:
			}
		})
	}
	t.Run("visibility", func(t *testing.T) {
		c := w.user("u-visibility", nixspace.StandingMember, "shop", nixspace.RoleDeveloper)
		ended := c.watch(`subscription{sessionUpdates(ref:"shop/1"){session{id}}}`)
		owner.must(`mutation{setVisibility(ref:"shop",visibility:PRIVATE){id}}`, nil, nil)
		if err := <-ended; err != nil {
			t.Errorf("the socket did not end: %v", err)
		}
		if code := c.ask(`mutation{startSession(input:{ref:"shop"}){id}}`, nil, nil); code != "environment_unknown" {
			t.Errorf("code %q", code)
		}
	})
}

// TestS06Visibility: a private environment is found by others, and a public one shows
// more than its definition.
func TestS06Visibility(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada", nixspace.StandingMember, "shop", nixspace.RoleDeveloper)
	bob := w.user("bob", nixspace.StandingMember, "shop", nixspace.RoleMaintainer)
	eve := w.user("eve", nixspace.StandingMember, "", "")
	ada.must(`mutation{branch(input:{from:"shop",name:"idea",edits:[{op:SET,key:"nodejs",value:"20"}]}){environment{id}}}`, nil, nil)
	ada.must(`mutation{setVisibility(ref:"idea",visibility:PRIVATE){id}}`, nil, nil)
	ada.must(`{environment(ref:"idea"){id visibility role}}`, nil, nil)
	for _, c := range []*client{bob, eve} {
		for _, query := range []string{`{environment(ref:"idea"){id}}`, `mutation{deleteEnvironment(ref:"shop/idea"){id}}`, `mutation{branch(input:{from:"idea",name:"copy"}){environment{id}}}`} {
			_, b := c.do(http.MethodPost, "/graphql", map[string]any{"query": query})
			if !strings.Contains(string(b), "environment_unknown") && !strings.Contains(string(b), `"environment":null`) {
				t.Errorf("%s: %s", query, b)
			}
		}
		if _, b := c.do(http.MethodPost, "/graphql", map[string]any{"query": `{environments{nodes{name}} log{nodes{environments}}}`}); strings.Contains(string(b), "idea") {
			t.Errorf("it is listed: %s", b)
		}
	}
	// A branch of a private environment is private.
	ada.must(`mutation{branch(input:{from:"idea",name:"idea2"}){environment{id}}}`, nil, nil)
	if _, b := bob.do(http.MethodPost, "/graphql", map[string]any{"query": `{environments{nodes{name}}}`}); strings.Contains(string(b), "idea") {
		t.Errorf("its branch is listed: %s", b)
	}
	w.owner().must(`mutation{setVisibility(ref:"vault",visibility:PUBLIC){id}}`, nil, nil)
	session := w.start("vault")
	if code := eve.ask(`{environment(ref:"vault"){id head{manifest}}}`, nil, nil); code != "" {
		t.Errorf("a public environment: %s", code)
	}
	for _, query := range []string{`{session(ref:"` + string(session.ID) + `"){id}}`, `{sessions(environment:"vault"){nodes{id}}}`, `{members(project:"vault"){name}}`, `{project(ref:"vault"){workspace}}`} {
		_, b := eve.do(http.MethodPost, "/graphql", map[string]any{"query": query})
		if strings.Contains(string(b), string(session.ID)+`"}`) || strings.Contains(string(b), `"name":`) {
			t.Errorf("%s: %s", query, b)
		}
	}
	if code := eve.ask(`mutation{startSession(input:{ref:"vault"}){id}}`, nil, nil); code != "role_insufficient" {
		t.Errorf("starting a public environment: %q", code)
	}
}
