package security

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/graph/gen"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/people"
)

var update = flag.Bool("update", false, "write docs/permissions.md again")

const permissionsFile = "../../docs/permissions.md"

// TestEveryOperationIsKnown compares the table of operations with what the surfaces
// really have: what is new must say who may do it.
func TestEveryOperationIsKnown(t *testing.T) {
	w := newWorld(t)
	real := w.handler.Operations()
	schema := gen.NewExecutableSchema(gen.Config{}).Schema()
	for _, root := range []string{"Query", "Mutation", "Subscription"} {
		for _, f := range schema.Types[root].Fields {
			if !strings.HasPrefix(f.Name, "__") {
				real = append(real, root+"."+f.Name)
			}
		}
	}
	real = append(real, people.OpPreview, people.OpEditor)
	var known []string
	for _, op := range people.Operations() {
		known = append(known, op.Name)
	}
	slices.Sort(real)
	if diff := cmp.Diff(real, known); diff != "" {
		t.Errorf("app/people/operations.go differs from what there is (-there is +known):\n%s", diff)
	}
}

// TestPermissionsDocument compares docs/permissions.md with the table.
func TestPermissionsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Permissions\n\nThis file is made from the program by `go test ./test/security -run TestPermissionsDocument -args -update`: do not edit it.\n\n" +
		"Each row is an operation of a surface: a field of GraphQL's `Query`, `Mutation` or `Subscription`, a route of HTTP (websockets among them), or the previews. " +
		"A mark says that the role suffices, in every project that the operation names. Operations without a project show only what may be seen. " +
		"What is not in this table is refused to all but administrators.\n\n" +
		"The owner of the machine, who started `nixspace up`, and administrators may do everything. *Member* in the last column: not for guests of the server, and not for tokens that are for single projects. " +
		"*Admin*: for administrators of the server. Whatever writes needs a developer at least; environments of others, and what is protected, a maintainer.\n\n")
	roles := nixspace.Roles()
	b.WriteString("| operation | none |")
	for _, r := range roles {
		fmt.Fprintf(&b, " %s |", r)
	}
	b.WriteString(" server | recorded |\n|---|" + strings.Repeat("---|", len(roles)+3) + "\n")
	mark := func(yes bool) string {
		if yes {
			return "✓"
		}
		return ""
	}
	for _, op := range people.Operations() {
		fmt.Fprintf(&b, "| `%s` | %s |", op.Name, mark(op.Need == nixspace.RoleNone && !op.Admin))
		for _, r := range roles {
			fmt.Fprintf(&b, " %s |", mark(r.AtLeast(op.Need) && !op.Admin))
		}
		server := ""
		if op.Admin {
			server = "admin"
		} else if op.Member {
			server = "member"
		}
		fmt.Fprintf(&b, " %s | %s |\n", server, mark(op.Recorded))
	}
	if *update {
		if err := os.WriteFile(permissionsFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(permissionsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), b.String()); diff != "" {
		t.Errorf("docs/permissions.md is old (-is +should):\n%s", diff)
	}
}

// refusals are the codes by which an operation is refused because of who asks.
var refusals = []string{
	"role_insufficient", "standing_insufficient", "operation_unknown", "operation_forbidden", "access_revoked", "token_wrong", "token_missing",
	// What may not be seen is not there.
	"project_unknown", "environment_unknown", "version_unknown", "session_unknown", "snapshot_unknown", "build_unknown", "merge_unknown",
	"preview_private", "template_foreign", "tag_unknown", "prebuild_unknown", "experiment_unknown",
}

// previewHost is where the session of the world shows its port 8080.
const previewHost = "8080--1--shop--shop.localhost"

// request is one request of an operation, as GraphQL or as a route.
type request struct {
	query string
	vars  map[string]any
}

// requests has one request for each operation of GraphQL. Each names the project
// shop, if it names any; whether it could succeed does not matter, only whether
// it is refused for who asks.
func (w *world) requests() map[string]request {
	w.t.Helper()
	v, err := w.app.Version(w.ctx, "shop")
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := w.app.Build(w.ctx, "shop")
	if err != nil {
		w.t.Fatal(err)
	}
	id := string(nixspace.NewID())
	session := w.session.Ref()
	q := func(s string, vars ...any) request {
		m := map[string]any{}
		for i := 0; i < len(vars); i += 2 {
			m[vars[i].(string)] = vars[i+1]
		}
		return request{s, m}
	}
	return map[string]request{
		"Query.project": q(`{project(ref:"shop"){id}}`), "Query.projects": q(`{projects{totalCount}}`),
		"Query.environment": q(`{environment(ref:"shop"){id}}`), "Query.environments": q(`{environments{totalCount}}`),
		"Query.version": q(`{version(ref:"shop"){id}}`), "Query.build": q(`query($i:ID!){build(id:$i){id}}`, "i", b.ID),
		"Query.session": q(`query($r:String!){session(ref:$r){id}}`, "r", session), "Query.sessions": q(`{sessions{totalCount}}`),
		"Query.packages": q(`{packages(query:"node"){attr}}`), "Query.viewer": q(`{viewer{name standing}}`), "Query.server": q(`{server{version}}`),
		"Query.diff": q(`{diff(from:"shop~0",to:"shop"){fromRef}}`), "Query.why": q(`{why(ref:"shop",what:"nodejs"){ref}}`),
		"Query.flakeManifest": q(`query($w:String!){flakeManifest(input:{workspace:$w})}`, "w", strings.Repeat("ab", 32)),
		"Query.detect":        q(`query($w:String!){detect(workspace:$w,name:"x"){manifest}}`, "w", strings.Repeat("ab", 32)),
		"Query.log":           q(`{log{nodes{hash}}}`), "Query.reflog": q(`{reflog(environment:"shop"){nodes{seq}}}`), "Query.blame": q(`{blame(ref:"shop"){path}}`),
		"Query.mergeBases":   q(`{mergeBases(a:"shop",b:"shop"){hash}}`),
		"Query.mergePreview": q(`{mergePreview(input:{from:"shop",into:"shop"}){outcome}}`),
		"Query.merge":        q(`query($i:ID!){merge(id:$i){id}}`, "i", id), "Query.tags": q(`{tags{name}}`),
		"Query.snapshot": q(`query($r:String!){snapshot(ref:$r){id}}`, "r", "shop@s1"), "Query.snapshots": q(`{snapshots{nodes{id}}}`),
		"Query.templates": q(`{templates{name}}`), "Query.sourceFetch": q(`query($i:ID!){sourceFetch(id:$i){id}}`, "i", id),
		"Query.suggestions": q(`{suggestions(ref:"shop"){kind}}`),
		"Query.users":       q(`{users{name}}`), "Query.teams": q(`{teams{name}}`), "Query.tokens": q(`{tokens{id}}`),
		"Query.members": q(`{members(project:"shop"){name}}`), "Query.audit": q(`{audit{seq}}`),

		"Mutation.createProject": q(`mutation{createProject(input:{slug:"bad name",source:""}){project{id}}}`),
		"Mutation.branch":        q(`mutation($n:String!){branch(input:{from:"shop",name:$n}){environment{id}}}`, "n", "b-"+id[:8]),
		"Mutation.change":        q(`mutation{change(input:{ref:"shop",edits:[{op:SET,key:"nodejs",value:"22"}]}){version{id}}}`),
		"Mutation.build":         q(`mutation{build(version:"shop"){id}}`), "Mutation.cancelBuild": q(`mutation($i:ID!){cancelBuild(id:$i){id}}`, "i", b.ID),
		"Mutation.startSession":   q(`mutation{startSession(input:{ref:"shop"}){id}}`),
		"Mutation.stopSession":    q(`mutation($r:String!){stopSession(ref:$r){id}}`, "r", "shop/99"),
		"Mutation.removeSession":  q(`mutation($r:String!){removeSession(ref:$r){id}}`, "r", session),
		"Mutation.collectGarbage": q(`mutation{collectGarbage(input:{dryRun:true}){size}}`),
		"Mutation.rollback":       q(`mutation{rollback(input:{ref:"shop"}){version{id}}}`),
		"Mutation.revert":         q(`mutation{revert(input:{version:"shop",ref:"shop"}){conflicts{path}}}`),
		"Mutation.cherryPick":     q(`mutation{cherryPick(input:{version:"shop",ref:"shop"}){conflicts{path}}}`),
		"Mutation.merge":          q(`mutation{merge(input:{from:"shop",into:"shop"}){outcome}}`),
		"Mutation.createTag":      q(`mutation($n:String!){createTag(input:{name:$n,version:"shop"}){name}}`, "n", "t-"+id[:8]),
		"Mutation.deleteTag":      q(`mutation{deleteTag(ref:"shop/old"){name}}`),

		"Mutation.protectEnvironment":  q(`mutation{protectEnvironment(ref:"shop",protected:false){id}}`),
		"Mutation.renameEnvironment":   q(`mutation{renameEnvironment(ref:"shop/own",name:"own"){id}}`),
		"Mutation.deleteEnvironment":   q(`mutation{deleteEnvironment(ref:"shop/none"){id}}`),
		"Mutation.undeleteEnvironment": q(`mutation{undeleteEnvironment(ref:"shop/none"){id}}`),
		"Mutation.hibernateSession":    q(`mutation($r:String!){hibernateSession(ref:$r){id}}`, "r", "shop/99"),
		"Mutation.resumeSession":       q(`mutation($r:String!){resumeSession(ref:$r){id}}`, "r", session),
		"Mutation.recoverSession":      q(`mutation($r:String!){recoverSession(ref:$r){id}}`, "r", session),
		"Mutation.controlService":      q(`mutation($r:String!){controlService(session:$r,name:"none",action:RESTART){name}}`, "r", session),
		"Mutation.closeTerminal":       q(`mutation($r:String!){closeTerminal(session:$r,name:"none")}`, "r", session),
		"Mutation.takeSnapshot":        q(`mutation($r:String!){takeSnapshot(input:{session:$r}){id}}`, "r", session),
		"Mutation.removeSnapshot":      q(`mutation{removeSnapshot(ref:"shop@none"){id}}`),
		"Mutation.restoreSnapshot":     q(`mutation{restoreSnapshot(input:{ref:"shop@none"}){id}}`),
		"Mutation.fork":                q(`mutation($r:String!){fork(input:{session:$r}){sessions{id}}}`, "r", session),
		"Mutation.branchWithData":      q(`mutation($r:String!,$n:String!){branchWithData(input:{from:"shop",name:$n},session:$r){session{id}}}`, "r", session, "n", "d-"+id[:8]),
		"Mutation.migrateData":         q(`mutation($r:String!){migrateData(input:{from:$r,to:$r}){databases}}`, "r", session),
		"Mutation.saveTemplate":        q(`mutation{saveTemplate(input:{name:"bad name",ref:"shop"}){name}}`),
		"Mutation.deleteTemplate":      q(`mutation{deleteTemplate(name:"none"){name}}`),
		"Mutation.fetchSource":         q(`mutation{fetchSource(input:{source:":"}){id}}`),
		"Mutation.cancelFetch":         q(`mutation($i:ID!){cancelFetch(id:$i){id}}`, "i", id),
		"Mutation.createToken":         q(`mutation{createToken(input:{name:""}){secret}}`),
		"Mutation.revokeToken":         q(`mutation{revokeToken(ref:"none"){id}}`),
		"Mutation.setPassword":         q(`mutation{setPassword(old:"wrong",new:"short")}`),
		"Mutation.enrolTotp":           q(`mutation{enrolTotp{secret}}`), "Mutation.confirmTotp": q(`mutation{confirmTotp(code:"")}`),
		"Mutation.removeTotp":    q(`mutation{removeTotp(password:"wrong")}`),
		"Mutation.invite":        q(`mutation{invite(input:{project:"shop",role:GUEST}){secret}}`),
		"Mutation.setUser":       q(`mutation{setUser(input:{name:"none"}){name}}`),
		"Mutation.createTeam":    q(`mutation{createTeam(name:"bad name"){name}}`),
		"Mutation.deleteTeam":    q(`mutation{deleteTeam(name:"none"){name}}`),
		"Mutation.putTeamMember": q(`mutation{putTeamMember(team:"none",user:"none"){name}}`),
		"Mutation.putMember":     q(`mutation{putMember(project:"shop",name:"nobody-at-all",role:GUEST){name}}`),
		"Mutation.removeMember":  q(`mutation{removeMember(project:"shop",name:"nobody-at-all"){name}}`),
		"Mutation.setVisibility": q(`mutation{setVisibility(ref:"shop/own",visibility:TEAM){id}}`),

		"Mutation.addEnvironment": q(`mutation{addEnvironment(input:{project:"shop",name:"bad name"}){environment{id}}}`),
		"Mutation.changeCode":     q(`mutation($w:String!){changeCode(input:{ref:"shop",workspace:$w}){id}}`, "w", strings.Repeat("ab", 32)),
		"Query.experiments":       q(`{experiments{id}}`), "Query.experiment": q(`{experiment(ref:"99"){id}}`),
		"Mutation.startExperiment":       q(`mutation{startExperiment(input:{kind:RUN,refs:["shop"],command:["true"]}){id}}`),
		"Mutation.repeatExperiment":      q(`mutation{repeatExperiment(ref:"99"){id}}`),
		"Mutation.cancelExperiment":      q(`mutation{cancelExperiment(ref:"99"){id}}`),
		"Mutation.removeExperiment":      q(`mutation{removeExperiment(ref:"99"){id}}`),
		"Mutation.resumeExperiment":      q(`mutation{resumeExperiment(ref:"99"){id}}`),
		"Subscription.experimentUpdates": q(`subscription{experimentUpdates(ref:"99"){experiment{id}}}`),
		"Query.gitSettings":              q(`{gitSettings{name}}`),
		"Mutation.setGitIdentity":        q(`mutation{setGitIdentity(name:"x",email:"x@example.org"){name}}`),
		"Mutation.setGitCredential":      q(`mutation{setGitCredential(input:{host:"not a host",token:"x"}){name}}`),
		"Mutation.removeGitCredential":   q(`mutation{removeGitCredential(host:"not a host"){name}}`),
		"Mutation.requestPrebuild":       q(`mutation{requestPrebuild(ref:"shop"){id}}`),
		"Mutation.cancelPrebuild":        q(`mutation($i:ID!){cancelPrebuild(id:$i){id}}`, "i", id),
		"Mutation.removePrebuild":        q(`mutation($i:ID!){removePrebuild(id:$i){id}}`, "i", id),
		"Query.prebuilds":                q(`{prebuilds{nodes{id}}}`), "Query.prebuild": q(`query($i:ID!){prebuild(id:$i){id}}`, "i", id),
		"Query.preparation": q(`{preparation(ref:"shop"){source}}`), "Query.searchEnvironments": q(`{searchEnvironments(query:"shop"){id}}`),
		"Subscription.prebuildUpdates": q(`subscription($i:ID!){prebuildUpdates(id:$i){prebuild{id}}}`, "i", id),
		"Subscription.buildUpdates":    q(`subscription($i:ID!){buildUpdates(id:$i){build{id}}}`, "i", b.ID),
		"Subscription.sessionUpdates":  q(`subscription($r:String!){sessionUpdates(ref:$r){session{id}}}`, "r", session),
		"Subscription.events":          q(`subscription{events(after:-1){seq}}`),
		"Subscription.fetchUpdates":    q(`subscription($i:ID!){fetchUpdates(id:$i){fetch{id}}}`, "i", id),
		"version":                      q(`query($r:String!){version(ref:$r){id}}`, "r", v.VersionHash),
	}
}

// route returns how a route is asked.
func (w *world) route(name string) (method, path string, body any) {
	method, path, _ = strings.Cut(name, " ")
	path = strings.NewReplacer("{ref}", string(w.session.ID), "{port}", "8080", "{seq}", "1").Replace(path)
	switch name {
	case "GET /api/v1/export":
		path += "?ref=shop"
	case "POST /api/v1/sessions/{ref}/previews":
		body = map[string]any{"port": 8080}
	case "POST /api/v1/previews":
		body = map[string]any{"host": previewHost}
	}
	return method, path, body
}

// outcomeOf asks for an operation and returns the code of the error, "" for none.
func (c *client) outcomeOf(name string, reqs map[string]request) string {
	c.w.t.Helper()
	switch {
	case name == people.OpPreview || name == people.OpEditor:
		host := previewHost
		if name == people.OpEditor {
			host = strings.Replace(host, "8080", "code", 1)
		}
		status, _ := c.do(http.MethodGet, "/", nil, "Host", host)
		if status == http.StatusUnauthorized {
			return "preview_private"
		}
		return ""
	case strings.HasPrefix(name, "Subscription."):
		return c.subscribe(reqs[name])
	case strings.Contains(name, " "):
		status, b := c.do(c.w.route(name))
		if status < 400 {
			return ""
		}
		return codeOf(b)
	}
	r, ok := reqs[name]
	if !ok {
		c.w.t.Fatalf("no request for %s: add one", name)
	}
	return c.ask(r.query, r.vars, nil)
}

// subscribe opens a subscription and returns the code of its error; "" where it
// answers, or goes on without an answer.
func (c *client) subscribe(r request) string {
	c.w.t.Helper()
	ctx, cancel := context.WithTimeout(c.w.ctx, limit)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, c.w.url+"/graphql", &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + c.token}},
	})
	if err != nil {
		return "token_wrong"
	}
	defer conn.CloseNow()
	type message struct {
		ID      string `json:"id,omitempty"`
		Type    string `json:"type"`
		Payload any    `json:"payload,omitempty"`
	}
	send := func(m message) {
		if err := wsjson.Write(ctx, conn, m); err != nil {
			c.w.t.Fatal(err)
		}
	}
	send(message{Type: "connection_init"})
	send(message{ID: "1", Type: "subscribe", Payload: map[string]any{"query": r.query, "variables": r.vars}})
	// A query on the same socket comes after: what it answers, the subscription had
	// its turn before.
	for first := true; ; {
		var m message
		if err := wsjson.Read(ctx, conn, &m); err != nil {
			c.w.t.Fatal(err)
		}
		switch {
		case m.Type == "connection_ack" && first:
			first = false
			send(message{ID: "2", Type: "subscribe", Payload: map[string]any{"query": "{audit{seq}}"}})
		case m.ID == "1" && m.Type != "complete":
			text := fmt.Sprint(m.Payload)
			for _, code := range refusals {
				if strings.Contains(text, "code:"+code) {
					return code
				}
			}
			return ""
		case m.ID == "1":
			return ""
		case m.ID == "2" && m.Type == "complete" && r.query == "subscription{events(after:-1){seq}}":
			return "" // it shows what may be seen, which may be nothing
		}
	}
}

// TestEveryOperationAsEveryRole asks for every operation of every surface as every
// role, and compares with the table.
func TestEveryOperationAsEveryRole(t *testing.T) {
	w := newWorld(t)
	reqs := w.requests()
	clients := map[nixspace.Role]*client{nixspace.RoleNone: w.user("nobody", nixspace.StandingMember, "", "")}
	for _, r := range nixspace.Roles() {
		clients[r] = w.user(string(r)+"-x", nixspace.StandingMember, "shop", r)
	}
	if _, err := w.app.CreateTag(w.ctx, environments.CreateTag{Name: "old", Version: "shop"}); err != nil {
		t.Fatal(err)
	}
	// The environment that some operations are about is the developer's own: of
	// others' they take a maintainer.
	clients[nixspace.RoleDeveloper].must(`mutation{branch(input:{from:"shop",name:"own"}){environment{id}}}`, nil, nil)
	for _, op := range people.Operations() {
		for _, role := range append([]nixspace.Role{nixspace.RoleNone}, nixspace.Roles()...) {
			want := role.AtLeast(op.Need) && !op.Admin
			code := clients[role].outcomeOf(op.Name, reqs)
			if code == "graphql_invalid" {
				t.Fatalf("the request for %s is wrong", op.Name)
			}
			got := !slices.Contains(refusals, code)
			if code == "session_unknown" || code == "snapshot_unknown" || code == "environment_unknown" || code == "merge_unknown" || code == "tag_unknown" || code == "prebuild_unknown" || code == "experiment_unknown" {
				// The request names something that nobody has, on purpose. Whoever may
				// not is told the same.
				if want {
					got = true
				}
			}
			if strings.HasSuffix(code, "_unavailable") || code == "editor_missing" {
				continue // this server has no such part
			}
			if op.Name == "Mutation.createProject" || op.Name == "PUT /api/v1/imports" {
				want = true // they name no project that is there
			}
			if !role.AtLeast(op.Need) && code == "" && strings.HasPrefix(op.Name, "Query.") && op.Need != nixspace.RoleNone {
				// A query for one thing answers null for what is not there.
				got = false
			}
			if got != want {
				t.Errorf("%s as %q: code %q, allowed %v; want %v", op.Name, role, code, got, want)
			}
		}
	}
	// And nobody at all.
	for _, op := range people.Operations() {
		if code := (&client{w: w}).outcomeOf(op.Name, reqs); !slices.Contains(refusals, code) {
			t.Errorf("%s without a token: code %q", op.Name, code)
		}
	}
}
