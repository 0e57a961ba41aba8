// Package security attacks a whole server over its surfaces, as a stranger or
// somebody with a smaller role would. docs/security.md lists the cases by number.
package security

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/auth"
	"github.com/nixspace/nixspace/api/preview"
	"github.com/nixspace/nixspace/api/sshd"
	"github.com/nixspace/nixspace/api/web"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/app/apptest"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/sessions"
	"github.com/nixspace/nixspace/state/postgres"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
	"github.com/nixspace/nixspace/state/workspace"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait"))
}

// limit is generous: nothing here is about speed.
const limit = 3 * time.Minute

const manifestText = `schema = 1

[packages]
nodejs = "22"
postgresql = "15"

[services.postgresql]
databases = ["shop"]
`

// world is a server with a project "shop" of its local owner, with a running
// session, and a second project "vault" in which nobody else is.
type world struct {
	t       *testing.T
	ctx     context.Context // of the local owner
	app     *app.App
	db      *postgres.DB
	url     string
	http    *httptest.Server
	handler *web.Handler
	token   string // of the local owner
	log     *logBuffer
	session *nixspace.Session
	jobs    *apptest.Jobs
}

// logBuffer is all that the server logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t *testing.T) *world { return newWorldWith(t, records.Quota{}) }

func newWorldWith(t *testing.T, quota records.Quota) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	log := &logBuffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d, err := postgres.Open(ctx, postgrestest.URL(t, postgres.Migrate), logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	store, err := workspace.Open(t.TempDir(), nixspace.CodeLimits{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: d, log: log, token: auth.RandomToken(), jobs: &apptest.Jobs{}}
	w.app = app.New(app.Config{
		Store: w.jobs.Over(d), Packages: apptest.NewPackages(), Machines: apptest.NewMachines(), Workspaces: store, Jobs: w.jobs,
		Log: logger, Quota: quota, Secrets: bytes.Repeat([]byte{7}, 32),
	})
	run, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.app.Run(run) }()
	owner, err := w.app.Owner(ctx, "root")
	if err != nil {
		t.Fatal(err)
	}
	w.ctx = nixspace.WithActor(ctx, owner)
	token, err := auth.NewToken(w.token, owner)
	if err != nil {
		t.Fatal(err)
	}
	key := bytes.Repeat([]byte{9}, 32)
	browser, err := auth.NewBrowser(token, key, auth.SignInCode(w.token), owner)
	if err != nil {
		t.Fatal(err)
	}
	accounts := auth.NewAccounts(browser, w.app)
	previews := preview.New(preview.Config{App: w.app, Auth: accounts, Log: logger, Key: key, Platform: "http://localhost"})
	t.Cleanup(previews.Close)
	secureShell, err := sshd.New(key, logger)
	if err != nil {
		t.Fatal(err)
	}
	w.handler = web.New(web.Config{
		SSH: secureShell,
		App: w.app, Auth: accounts, SignIns: accounts, Log: logger, Previews: previews, Version: "test",
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }),
	})
	w.http = httptest.NewServer(w.handler)
	w.url = w.http.URL
	t.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := w.handler.CloseStreams(stop); err != nil {
			t.Errorf("close streams: %v", err)
		}
		w.http.Close()
		http.DefaultClient.CloseIdleConnections()
		end()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	for _, slug := range []string{"shop", "vault"} {
		if _, _, _, err := w.app.CreateProject(w.ctx, environments.CreateProject{Slug: slug, Manifest: manifestText}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range w.jobs.Take() {
		if err := w.app.RunBuild(w.ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	w.session = w.start("shop")
	return w
}

// start starts a session and waits until it runs.
func (w *world) start(ref string) *nixspace.Session {
	w.t.Helper()
	s, err := w.app.StartSession(w.ctx, sessions.StartSession{Ref: ref})
	if err != nil {
		w.t.Fatal(err)
	}
	updates, err := w.app.WatchSession(w.ctx, string(s.ID))
	if err != nil {
		w.t.Fatal(err)
	}
	for u := range updates {
		if u.Session.Status == nixspace.SessionRunning {
			return &u.Session
		}
	}
	w.t.Fatalf("%s does not run", ref)
	return nil
}

// client is somebody who asks.
type client struct {
	w     *world
	token string
	jar   http.CookieJar
}

func (w *world) owner() *client { return &client{w: w, token: w.token} }

// password is everybody's.
const password = "correct horse battery"

// user makes an account, in a project where a role is given, and signs in.
func (w *world) user(name string, standing nixspace.Standing, project string, role nixspace.Role) *client {
	w.t.Helper()
	in := map[string]any{"name": name, "standing": strings.ToUpper(string(standing))}
	if project != "" {
		in["project"], in["role"] = project, strings.ToUpper(string(role))
	}
	var made struct{ Invite struct{ Secret string } }
	w.owner().must(`mutation($in:InviteInput!){invite(input:$in){secret}}`, map[string]any{"in": in}, &made)
	var joined struct{ Secret string }
	status, body := (&client{w: w}).do(http.MethodPost, "/api/v1/join", map[string]any{"code": made.Invite.Secret, "name": name, "password": password, "token": "test"})
	if status != http.StatusOK || json.Unmarshal(body, &joined) != nil || joined.Secret == "" {
		w.t.Fatalf("join: %d %s", status, body)
	}
	return &client{w: w, token: joined.Secret}
}

// do sends a request with a JSON body; header pairs follow.
func (c *client) do(method, path string, body any, header ...string) (int, []byte) {
	c.w.t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.w.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(c.w.ctx, method, c.w.url+path, r)
	if err != nil {
		c.w.t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	hc := &http.Client{Jar: c.jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := hc.Do(req)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return res.StatusCode, b
}

// ask sends a GraphQL request and returns the code of its first error, "" for none.
func (c *client) ask(query string, vars map[string]any, out any) string {
	c.w.t.Helper()
	status, b := c.do(http.MethodPost, "/graphql", map[string]any{"query": query, "variables": vars})
	var answer struct {
		Data   json.RawMessage
		Errors []struct {
			Message    string
			Extensions struct{ Code string }
		}
		Error struct{ Code string }
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		c.w.t.Fatalf("%d %s: %v", status, b, err)
	}
	if answer.Error.Code != "" {
		return answer.Error.Code
	}
	if len(answer.Errors) > 0 {
		if answer.Errors[0].Extensions.Code == "" {
			c.w.t.Fatalf("an error without a code: %s", b)
		}
		return answer.Errors[0].Extensions.Code
	}
	if out != nil {
		if err := json.Unmarshal(answer.Data, out); err != nil {
			c.w.t.Fatal(err)
		}
	}
	return ""
}

func (c *client) must(query string, vars map[string]any, out any) {
	c.w.t.Helper()
	if code := c.ask(query, vars, out); code != "" {
		c.w.t.Fatalf("%s: %s", query, code)
	}
}

// browser is a client that keeps cookies and has no token.
func (w *world) browser() *client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &client{w: w, jar: jar}
}

// codeOf is the code of an error that a route answers.
func codeOf(b []byte) string {
	var p struct{ Error struct{ Code string } }
	_ = json.Unmarshal(b, &p)
	return p.Error.Code
}

// errorOf is the code of the first error of an answer, of GraphQL or of a route.
func errorOf(b []byte) string {
	var answer struct {
		Errors []struct{ Extensions struct{ Code string } }
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return "no JSON"
	}
	if len(answer.Errors) > 0 {
		return answer.Errors[0].Extensions.Code
	}
	return codeOf(b)
}
