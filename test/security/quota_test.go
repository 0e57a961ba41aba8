package security

import (
	"net/http"
	"sync"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// TestS20TheLastPlace: many ask for the last place of a quota at once.
func TestS20TheLastPlace(t *testing.T) {
	// The owner's session of the world is one of the project's.
	w := newWorldWith(t, records.Quota{UserSessions: 3, ProjectSessions: 2})
	clients := []*client{}
	for _, name := range []string{"ada", "bob", "cyd", "dan"} {
		clients = append(clients, w.user(name, nixspace.StandingMember, "shop", nixspace.RoleDeveloper))
	}
	for i, from := range []string{"shop", "shop"} { // the place is of the project, not of an environment
		w.owner().must(`mutation($f:String!,$n:String!){branch(input:{from:$f,name:$n}){environment{id}}}`, map[string]any{"f": from, "n": []string{"one", "two"}[i]}, nil)
	}
	const many = 200
	status, bodies := make([]int, many), make([][]byte, many)
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range many {
		all.Go(func() {
			<-begin
			ref := []string{"shop", "one", "two"}[i%3]
			status[i], bodies[i] = clients[i%len(clients)].do(http.MethodPost, "/graphql", map[string]any{"query": `mutation{startSession(input:{ref:"` + ref + `"}){id}}`})
		})
	}
	close(begin)
	all.Wait()
	won := 0
	for i := range many {
		switch code := errorOf(bodies[i]); code {
		case "":
			won++
		case "quota_sessions":
		default:
			t.Errorf("request %d: %d %s", i, status[i], bodies[i])
		}
	}
	live, err := w.app.Sessions(w.ctx, "", false)
	if err != nil {
		t.Fatal(err)
	}
	if won != 1 || len(live) != 2 {
		t.Errorf("%d of %d got the last place, and %d sessions are live", won, many, len(live))
	}
	// Neither by starting a stopped one again, nor by a fork.
	for _, s := range live {
		if s.CreatedBy != w.session.CreatedBy {
			if _, err := w.app.StopSession(w.ctx, string(s.ID)); err != nil {
				t.Fatal(err)
			}
			clients[0].must(`mutation{startSession(input:{ref:"one"}){id}}`, nil, nil)
			if code := clients[1].ask(`mutation($r:String!){startSession(input:{ref:$r}){id}}`, map[string]any{"r": s.ID}, nil); code != "quota_sessions" {
				t.Errorf("starting again: %q", code)
			}
		}
	}
	if code := clients[1].ask(`mutation($r:String!){fork(input:{session:$r}){sessions{id}}}`, map[string]any{"r": w.session.Ref()}, nil); code == "" {
		t.Error("a fork takes a place that is not there")
	}
}
