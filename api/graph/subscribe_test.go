package graph_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/apitest"
	"github.com/nixspace/nixspace/app/environments"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The client's idle connections, which belong to no test.
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

func dial(t *testing.T, ctx context.Context, url string) *websocket.Conn {
	t.Helper()
	//nolint:bodyclose // the package closes it, or has read it
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	if err := wsjson.Write(ctx, conn, message{Type: "connection_init"}); err != nil {
		t.Fatal(err)
	}
	var m message
	if err := wsjson.Read(ctx, conn, &m); err != nil || m.Type != "connection_ack" {
		t.Fatalf("got %+v, %v; want connection_ack", m, err)
	}
	return conn
}

func subscribe(t *testing.T, ctx context.Context, conn *websocket.Conn, id, query string) {
	t.Helper()
	payload, _ := json.Marshal(map[string]string{"query": query})
	if err := wsjson.Write(ctx, conn, message{ID: id, Type: "subscribe", Payload: payload}); err != nil {
		t.Fatal(err)
	}
}

// next reads the next message that is about a subscription.
func next(t *testing.T, ctx context.Context, conn *websocket.Conn) message {
	t.Helper()
	for {
		var m message
		if err := wsjson.Read(ctx, conn, &m); err != nil {
			t.Fatal(err)
		}
		if m.ID != "" {
			return m
		}
	}
}

func buildID(t *testing.T, url string) string {
	t.Helper()
	a := ask(t, url, `mutation{r:build(version:"shop"){id}}`, nil)
	var b struct{ ID string }
	if err := json.Unmarshal(a.Data["r"], &b); err != nil {
		t.Fatal(err)
	}
	return b.ID
}

func TestBuildUpdates(t *testing.T) {
	ctx := deadline(t)
	url, _ := server(t, apitest.New())
	conn := dial(t, ctx, url)
	subscribe(t, ctx, conn, "1", `subscription{buildUpdates(id:"`+buildID(t, url)+`"){build{status version{seq}} progress{job done total} line{seq text}}}`)
	var got []string
	for {
		m := next(t, ctx, conn)
		if m.Type == "complete" {
			break
		}
		got = append(got, string(m.Payload))
	}
	if len(got) != 6 || !strings.Contains(got[0], `"QUEUED"`) || !strings.Contains(got[1], `"total":2000`) ||
		!strings.Contains(got[2], `"unpacking"`) || !strings.Contains(got[5], `"SUCCEEDED"`) {
		t.Errorf("news:\n%s", strings.Join(got, "\n"))
	}
}

// TestSubscriptionsEnd checks that closing a subscription, or the connection,
// ends what the application does for it.
func TestSubscriptionsEnd(t *testing.T) {
	ctx := deadline(t)
	a := apitest.New()
	url, _ := server(t, a)
	conn := dial(t, ctx, url)
	subscribe(t, ctx, conn, "1", `subscription{sessionUpdates(ref:"shop/1"){session{status} machine{services{state}}}}`)
	subscribe(t, ctx, conn, "2", `subscription{events{kind message data}}`)
	if err := a.AwaitWatchers(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := a.Branch(nixspace.WithActor(ctx, apitest.Owner), environments.Branch{From: "shop", Name: "told"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if m := next(t, ctx, conn); m.Type != "next" || !strings.Contains(string(m.Payload), "data") {
			t.Fatalf("got %+v", m)
		}
	}
	if err := wsjson.Write(ctx, conn, message{ID: "1", Type: "complete"}); err != nil {
		t.Fatal(err)
	}
	if err := a.AwaitWatchers(ctx, 1); err != nil {
		t.Fatal(err)
	}
	conn.CloseNow()
	if err := a.AwaitWatchers(ctx, 0); err != nil {
		t.Fatal(err)
	}
}

func TestSubscriptionRefused(t *testing.T) {
	ctx := deadline(t)
	url, _ := server(t, apitest.New())
	conn := dial(t, ctx, url)
	subscribe(t, ctx, conn, "1", `subscription{sessionUpdates(ref:"shop/9"){session{status}}}`)
	m := next(t, ctx, conn)
	if !strings.Contains(string(m.Payload), "session_not_found") {
		t.Errorf("got %s %s", m.Type, m.Payload)
	}
}

// TestServerSentEvents reads a subscription over plain HTTP.
func TestServerSentEvents(t *testing.T) {
	ctx := deadline(t)
	url, _ := server(t, apitest.New())
	body, _ := json.Marshal(map[string]string{"query": `subscription{buildUpdates(id:"` + buildID(t, url) + `"){build{status}}}`})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var events []string
	for sc := bufio.NewScanner(res.Body); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), "event: ") || strings.HasPrefix(sc.Text(), "data: ") {
			events = append(events, sc.Text())
		}
	}
	all := strings.Join(events, "\n")
	if strings.Count(all, "event: next") != 6 || !strings.Contains(all, "SUCCEEDED") || events[len(events)-1] != "event: complete" {
		t.Errorf("events:\n%s", all)
	}
}
