package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/apitest"
	"github.com/nixspace/nixspace/api/auth"
	"github.com/nixspace/nixspace/api/web"
	"github.com/nixspace/nixspace/app/helper/helpertest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		helpertest.Remove()
		os.Exit(code)
	}))
}

const token = "the-token-of-the-test"

// server is a running server, which is stopped at the end of the test.
type server struct {
	t    *testing.T
	app  *apitest.App
	addr string
	http *http.Client
	stop func() error // stops it and returns what Serve returned
}

func start(t *testing.T, change func(*web.Config)) *server {
	t.Helper()
	a := apitest.New()
	a.MachineOf = func(nixspace.Session) nixspace.Machine {
		return &apitest.Machine{Dir: t.TempDir(), Env: []string{"HOME=/nonexistent"}}
	}
	authenticator, err := auth.NewToken(token, apitest.Owner)
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
	}
	cfg := web.Config{
		App: a, Auth: authenticator, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Version: "1.2.3",
		Health: text("alive"), Ready: text("ready"), Metrics: text("metrics"),
	}
	if change != nil {
		change(&cfg)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- web.New(cfg).Serve(ctx, ln, nil) }()
	transport := &http.Transport{}
	s := &server{t: t, app: a, addr: ln.Addr().String(), http: &http.Client{Transport: transport}}
	stopped := false
	s.stop = func() error {
		stopped = true
		cancel()
		return <-served
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if stopped {
			return
		}
		if err := s.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// do sends a request; header pairs follow the body. The token is sent unless a
// pair says another Authorization.
func (s *server) do(method, path string, body io.Reader, header ...string) (status int, answer string, h http.Header) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(deadline(s.t), method, "http://"+s.addr+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		switch {
		case header[i] == "Host":
			req.Host = header[i+1]
		case header[i+1] == "":
			req.Header.Del(header[i])
		default:
			req.Header.Set(header[i], header[i+1])
		}
	}
	res, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Header
}

func code(answer string) string {
	var a struct {
		Error struct{ Code, Kind, Message, Hint string }
	}
	_ = json.Unmarshal([]byte(answer), &a)
	return a.Error.Code
}

const query = `{"query":"{viewer{name}}"}`

func TestWhoGetsIn(t *testing.T) {
	s := start(t, func(c *web.Config) { c.Hosts = auth.Hosts{"build.example.org"} })
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code                     string // of the error; empty for none
	}{
		{"query with the token", "POST", "/graphql", query, nil, 200, ""},
		{"query without", "POST", "/graphql", query, []string{"Authorization", ""}, 401, "token_missing"},
		{"query with another", "POST", "/graphql", query, []string{"Authorization", "Bearer x"}, 401, "token_wrong"},
		{"socket without", "GET", "/graphql", "", []string{"Authorization", "", "Upgrade", "websocket"}, 401, "token_missing"},
		{"upload without", "PUT", "/api/v1/workspaces", "x", []string{"Authorization", ""}, 401, "token_missing"},
		{"exec without", "GET", "/api/v1/sessions/shop%2F1/exec", "", []string{"Authorization", ""}, 401, "token_missing"},
		{"logs without", "GET", "/api/v1/sessions/shop%2F1/logs", "", []string{"Authorization", ""}, 401, "token_missing"},
		{"metrics without", "GET", "/metrics", "", []string{"Authorization", ""}, 401, "token_missing"},
		{"metrics with", "GET", "/metrics", "", nil, 200, ""},
		{"health without", "GET", "/healthz", "", []string{"Authorization", ""}, 200, ""},
		{"readiness by any name", "GET", "/readyz", "", []string{"Authorization", "", "Host", "10.0.0.1"}, 200, ""},
		{"landing page without", "GET", "/", "", []string{"Authorization", ""}, 200, ""},
		{"nothing there", "GET", "/admin", "", nil, 404, "route_unknown"},
		{"query by GET", "GET", "/graphql?query={viewer{name}}", "", nil, 400, "method_invalid"},

		{"by a name of its own", "POST", "/graphql", query, []string{"Host", "build.example.org"}, 200, ""},
		{"by localhost", "POST", "/graphql", query, []string{"Host", "localhost:1"}, 200, ""},
		{"by a rebound name", "POST", "/graphql", query, []string{"Host", "evil.example"}, 421, "host_unknown"},
		{"landing page by a rebound name", "GET", "/", "", []string{"Host", "evil.example"}, 421, "host_unknown"},
		{"by a page of another site", "POST", "/graphql", query, []string{"Origin", "http://evil.example"}, 403, "origin_forbidden"},
		{"by a page of another port", "POST", "/graphql", query, []string{"Origin", "http://127.0.0.1:1"}, 403, "origin_forbidden"},
		{"by a form of another site", "POST", "/graphql", query, []string{"Sec-Fetch-Site", "cross-site"}, 403, "origin_forbidden"},
		{"socket by a page of another site", "GET", "/api/v1/sessions/shop%2F1/shell", "", []string{"Origin", "http://evil.example", "Upgrade", "websocket"}, 403, "origin_forbidden"},
		{"by a page of its own", "POST", "/graphql", query, []string{"Origin", "http://" + s.addr}, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := append([]string{"Content-Type", "application/json"}, tt.header...)
			status, answer, h := s.do(tt.method, tt.path, strings.NewReader(tt.body), header...)
			if status != tt.status || code(answer) != tt.code {
				t.Errorf("status %d, answer %s; want %d, code %q", status, answer, tt.status, tt.code)
			}
			if status == 401 && (h.Get("WWW-Authenticate") == "" || !strings.Contains(answer, `"hint"`)) {
				t.Errorf("401 says nothing of how to get in: %s, header %v", answer, h)
			}
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"} {
				if h.Get(name) != want {
					t.Errorf("header %s is %q, want %q", name, h.Get(name), want)
				}
			}
			if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
				t.Errorf("content security policy %q", csp)
			}
		})
	}
}

func TestLanding(t *testing.T) {
	s := start(t, nil)
	status, page, h := s.do("GET", "/", nil)
	if status != 200 || !strings.Contains(page, "nixspace create") || !strings.Contains(page, "1.2.3") || !strings.Contains(page, s.addr) {
		t.Errorf("status %d, page %s", status, page)
	}
	if !strings.Contains(h.Get("Content-Security-Policy"), "style-src 'sha256-") {
		t.Errorf("the page's own style is not allowed: %s", h.Get("Content-Security-Policy"))
	}
}

func TestPutWorkspace(t *testing.T) {
	s := start(t, func(c *web.Config) { c.MaxWorkspace = 1000 })
	status, answer, _ := s.do("PUT", "/api/v1/workspaces", bytes.NewReader(make([]byte, 1000)))
	if want := `"size":1000,"files":1}`; status != 201 || !strings.Contains(answer, want) {
		t.Errorf("status %d, answer %s", status, answer)
	}
	// With its length in the header, and without (chunked).
	for name, body := range map[string]io.Reader{"length": bytes.NewReader(make([]byte, 1001)), "chunked": io.MultiReader(bytes.NewReader(make([]byte, 1001)))} {
		status, answer, _ = s.do("PUT", "/api/v1/workspaces", body)
		if status != 413 || code(answer) != "body_too_large" {
			t.Errorf("%s: status %d, answer %s; want 413", name, status, answer)
		}
	}
	s.app.Fail = func(string) error { return fmt.Errorf("disk: %w", io.ErrShortWrite) }
	status, answer, _ = s.do("PUT", "/api/v1/workspaces", strings.NewReader("x"))
	if status != 500 || code(answer) != "internal" || strings.Contains(answer, "disk") {
		t.Errorf("status %d, answer %s; want an internal error without its text", status, answer)
	}
}

func TestGraphQLBodyLimit(t *testing.T) {
	s := start(t, nil)
	body := `{"query":"{viewer{name}}","variables":{"a":"` + strings.Repeat("x", 3<<20) + `"}}`
	status, answer, _ := s.do("POST", "/graphql", strings.NewReader(body), "Content-Type", "application/json")
	if status != 413 || code(answer) != "body_too_large" {
		t.Errorf("status %d, answer %s; want 413", status, answer)
	}
	// Without a length in the header, the limit is met while reading.
	_, answer, _ = s.do("POST", "/graphql", io.MultiReader(strings.NewReader(body)), "Content-Type", "application/json")
	if !strings.Contains(answer, "too large") || strings.Contains(answer, `"name"`) {
		t.Errorf("answer %s; want a refusal", answer)
	}
}

func TestLogs(t *testing.T) {
	follow := make(chan string)
	s := start(t, func(c *web.Config) {
		c.App.(*apitest.App).MachineOf = func(nixspace.Session) nixspace.Machine { return &apitest.Machine{Follow: follow} }
	})
	if status, log, h := s.do("GET", "/api/v1/sessions/shop%2F1/logs?service=postgresql", nil); status != 200 ||
		log != "log of \"postgresql\"\nsecond line\n" || h.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("status %d, log %q", status, log)
	}
	for path, want := range map[string]string{
		"shop%2F9/logs":              "session_not_found",
		"shop%2F1/logs?service=nope": "service_not_found",
	} {
		if status, answer, _ := s.do("GET", "/api/v1/sessions/"+path, nil); status != 404 || code(answer) != want {
			t.Errorf("%s: status %d, answer %s", path, status, answer)
		}
	}

	// A followed log arrives line by line, and ends when the server stops.
	req, err := http.NewRequestWithContext(deadline(t), http.MethodGet, "http://"+s.addr+"/api/v1/sessions/shop%2F1/logs?follow=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got := ""
	buf := make([]byte, 1024)
	for _, want := range []string{"second line\n", "third\n"} {
		for !strings.HasSuffix(got, want) {
			n, err := res.Body.Read(buf)
			if err != nil {
				t.Fatalf("after %q: %v", got, err)
			}
			got += string(buf[:n])
		}
		if want == "second line\n" {
			follow <- "third"
		}
	}
	if err := s.stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Errorf("the followed log did not end well: %v", err)
	}
}
