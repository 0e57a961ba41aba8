package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/apitest"
	"github.com/nixspace/nixspace/api/auth"
	"github.com/nixspace/nixspace/api/preview"
	"github.com/nixspace/nixspace/api/web"
)

// previewing is a server with previews, and a program that a session serves.
type previewing struct {
	*server
	*agent
	port    int
	browser *http.Client // keeps cookies and resolves every name to the server
	link    preview.Link
}

func withPreview(t *testing.T, program http.Handler, changes ...func(*web.Config)) *previewing {
	t.Helper()
	app := httptest.NewServer(program)
	t.Cleanup(app.Close)
	p := &previewing{port: app.Listener.Addr().(*net.TCPAddr).Port}
	var proxy *preview.Proxy
	p.server, p.agent = withAgent(t, func(c *web.Config) {
		tokens, err := auth.NewToken(token, apitest.Owner)
		if err != nil {
			t.Fatal(err)
		}
		proxy = preview.New(preview.Config{
			App: c.App, Auth: tokens, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Platform: "http://localhost:7070", Key: bytes.Repeat([]byte("k"), 32),
		})
		c.Previews = proxy
		for _, change := range changes {
			change(c)
		}
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", p.addr)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	t.Cleanup(proxy.Close)
	p.browser = &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	status, body, _ := p.do(http.MethodPost, "/api/v1/sessions/shop%2F1/previews", strings.NewReader(fmt.Sprintf(`{"port":%d,"path":"/hello?x=1"}`, p.port)))
	if status != http.StatusOK || json.Unmarshal([]byte(body), &p.link) != nil {
		t.Fatalf("%d %s", status, body)
	}
	return p
}

// get opens an address as a browser does.
func (p *previewing) get(t *testing.T, address string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(deadline(t), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Header
}

// enter uses the ticket.
func (p *previewing) enter(t *testing.T) {
	t.Helper()
	status, _, h := p.get(t, p.link.Open)
	if status != http.StatusSeeOther || h.Get("Location") != "/hello?x=1" || !strings.Contains(h.Get("Set-Cookie"), "HttpOnly") || strings.Contains(strings.ToLower(h.Get("Set-Cookie")), "domain") {
		t.Fatalf("%d %v", status, h)
	}
}

func TestPreview(t *testing.T) {
	seen := make(chan *http.Request, 10)
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Clone(context.Background())
		w.Header().Add("Set-Cookie", "theirs=1; Domain=localhost; Path=/")
		w.Header().Add("Set-Cookie", "nixspace-preview=forged; Path=/")
		w.Header().Set("Alt-Svc", `h3="evil.example:443"`)
		_, _ = io.WriteString(w, "hello from the session")
	})
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%d %v", n, err)
	})
	next := make(chan struct{})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "part %d\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			typ, b, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), typ, b) != nil {
				return
			}
		}
	})
	p := withPreview(t, mux)
	base, _ := url.Parse(p.link.URL)
	if want := fmt.Sprintf("http://%d--1--shop--shop.localhost", p.port); !strings.HasPrefix(p.link.URL, want) {
		t.Errorf("the address is %s, want %s…", p.link.URL, want)
	}

	status, body, h := p.get(t, p.link.URL)
	if status != http.StatusUnauthorized || !strings.Contains(body, "This preview is private") || !strings.Contains(body, "http://localhost:7070/preview?") {
		t.Fatalf("without a ticket: %d %s", status, body)
	}
	if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the page has the policy %q", h.Get("Content-Security-Policy"))
	}
	p.enter(t)
	if status, _, _ := p.get(t, p.link.Open); status != http.StatusUnauthorized {
		t.Errorf("a ticket that was used: %d", status)
	}
	p.browser.Jar.SetCookies(base, []*http.Cookie{{Name: "nixspace-Platform", Value: "secret"}, {Name: "own", Value: "1"}})
	status, body, h = p.get(t, p.link.URL, "Authorization", "Basic dGhlaXI6b3du", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Host", "evil.example")
	if status != http.StatusOK || body != "hello from the session" {
		t.Fatalf("with the cookie: %d %s", status, body)
	}
	if got := h.Values("Set-Cookie"); len(got) != 1 || got[0] != "theirs=1; Path=/" || h.Get("Alt-Svc") != "" {
		t.Errorf("the browser gets the cookies %q, Alt-Svc %q", got, h.Get("Alt-Svc"))
	}
	r := <-seen
	if got := r.Header.Get("Cookie"); got != "own=1" {
		t.Errorf("the session gets the cookies %q", got)
	}
	if r.Host != base.Host || r.Header.Get("X-Forwarded-Host") != base.Host || r.Header.Get("X-Forwarded-Proto") != "http" || strings.Contains(r.Header.Get("X-Forwarded-For"), "1.2.3.4") {
		t.Errorf("the session is asked as %q, %v", r.Host, r.Header)
	}
	if r.Header.Get("Authorization") != "Basic dGhlaXI6b3du" {
		t.Errorf("the program's own authorisation is %q", r.Header.Get("Authorization"))
	}

	t.Run("a program with the token", func(t *testing.T) {
		status, body, _ := p.do(http.MethodGet, "/hello", nil, "Host", base.Host)
		if status != http.StatusOK || body != "hello from the session" {
			t.Fatalf("%d %s", status, body)
		}
		if r := <-seen; r.Header.Get("Authorization") != "" {
			t.Errorf("the session gets the token: %q", r.Header.Get("Authorization"))
		}
		if status, _, _ := p.do(http.MethodGet, "/hello", nil, "Host", base.Host, "Authorization", "Bearer wrong"); status != http.StatusUnauthorized {
			t.Errorf("with another token: %d", status)
		}
	})
	t.Run("a large upload", func(t *testing.T) {
		req, _ := http.NewRequestWithContext(deadline(t), http.MethodPost, base.Scheme+"://"+base.Host+"/upload", io.LimitReader(zeros{}, 64<<20))
		res, err := p.browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, _ := io.ReadAll(res.Body); string(b) != fmt.Sprintf("%d <nil>", 64<<20) {
			t.Errorf("%s", b)
		}
	})
	t.Run("what is streamed arrives at once", func(t *testing.T) {
		req, _ := http.NewRequestWithContext(deadline(t), http.MethodGet, base.Scheme+"://"+base.Host+"/stream", nil)
		res, err := p.browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		for i := range 3 {
			if !lines.Scan() || lines.Text() != fmt.Sprintf("part %d", i) {
				t.Fatalf("%q, %v", lines.Text(), lines.Err())
			}
			next <- struct{}{}
		}
	})
	t.Run("a websocket", func(t *testing.T) {
		ctx := deadline(t)
		dial := func(origin string) (*websocket.Conn, *http.Response, error) {
			//nolint:bodyclose // the package closes it
			return websocket.Dial(ctx, "ws://"+base.Host+"/ws", &websocket.DialOptions{HTTPClient: p.browser, HTTPHeader: http.Header{"Origin": {origin}}})
		}
		c, _, err := dial("http://" + base.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		for _, s := range []string{"a", strings.Repeat("b", 20_000)} {
			if err := c.Write(ctx, websocket.MessageText, []byte(s)); err != nil {
				t.Fatal(err)
			}
			if _, b, err := c.Read(ctx); string(b) != s {
				t.Fatalf("%d bytes, %v", len(b), err)
			}
		}
		if _, res, err := dial("http://localhost:7070"); err == nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("from a page of another origin: %v", err)
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestPreviewSaysWhatIsTheMatter(t *testing.T) {
	p := withPreview(t, http.NotFoundHandler())
	p.enter(t)
	if status, _, _ := p.get(t, p.link.URL); status != http.StatusNotFound {
		t.Errorf("the program's own answer is %d", status)
	}
	for name, tt := range map[string]struct {
		err    error
		status int
		text   string
	}{
		"stopped": {nixspace.Errorf(nixspace.KindConflict, "session_not_running", "session shop/1 is stopped"), http.StatusServiceUnavailable, "The session does not run"},
		"gone":    {nixspace.Errorf(nixspace.KindNotFound, "session_not_found", "there is none"), http.StatusNotFound, "There is no such session"},
		"lost":    {nixspace.Errorf(nixspace.KindUnavailable, "machine_gone", "it does not answer"), http.StatusServiceUnavailable, "cannot be reached"},
	} {
		q := withPreview(t, http.NotFoundHandler())
		q.enter(t)
		q.app.Fail = func(method string) error {
			if method == "Session" {
				return tt.err
			}
			return nil
		}
		if status, body, _ := q.get(t, q.link.URL); status != tt.status || !strings.Contains(body, tt.text) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	// Nothing listens on the port.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().(*net.TCPAddr).Port
	l.Close()
	host := fmt.Sprintf("%d--1--shop--shop.localhost", free)
	status, body, _ := p.do(http.MethodGet, "/", nil, "Host", host, "Accept", "text/html")
	if status != http.StatusBadGateway || !strings.Contains(body, fmt.Sprintf("Nothing listens on port %d", free)) || !strings.Contains(body, `http-equiv="refresh"`) {
		t.Errorf("no program: %d %s", status, body)
	}
	if status, body, h := p.do(http.MethodGet, "/api", nil, "Host", host); status != http.StatusBadGateway || !strings.HasPrefix(body, "port_refused:") || h.Get("Retry-After") == "" {
		t.Errorf("no program, and a program asks: %d %s", status, body)
	}
}

func TestPreviewWakes(t *testing.T) {
	p := withPreview(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "awake") }))
	p.enter(t)
	wake := make(chan struct{})
	p.app.MachineOf = func(nixspace.Session) nixspace.Machine {
		<-wake
		return p.agent
	}
	// A person is told, while a program waits.
	status, body, h := p.get(t, p.link.URL)
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "The session wakes") || h.Get("Retry-After") == "" {
		t.Errorf("%d %s", status, body)
	}
	answer := make(chan string, 1)
	go func() {
		_, body, _ := p.get(t, p.link.URL, "Accept", "application/json")
		answer <- body
	}()
	close(wake)
	if got := <-answer; got != "awake" {
		t.Errorf("a program gets %q", got)
	}
	if _, body, _ := p.get(t, p.link.URL); body != "awake" {
		t.Errorf("then %q", body)
	}
}

// TestPreviewHostsAreNotThePlatform sends what no browser would.
func TestPreviewHostsAreNotThePlatform(t *testing.T) {
	p := withPreview(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "session saw %s %s %s", r.Method, r.Host, r.URL)
	}))
	host := fmt.Sprintf("%d--1--shop--shop.localhost", p.port)
	bearer := "Authorization: Bearer " + token + "\r\n"
	for _, tt := range []struct{ name, request, want, not string }{
		{"the platform's API by a preview's host", "GET /api/v1/sessions/shop%2F1/list HTTP/1.1\r\nHost: " + host + "\r\n" + bearer, "session saw GET " + host, `"files"`},
		{"GraphQL by a preview's host", "POST /graphql HTTP/1.1\r\nHost: " + host + "\r\n" + bearer + "Content-Length: 2\r\n\r\n{}", "session saw POST", `"data"`},
		{"no session of that name", "GET / HTTP/1.1\r\nHost: 3000--1--none--none.localhost\r\n" + bearer, "401", "session saw"},
		{"half a label", "GET /graphql HTTP/1.1\r\nHost: 3000--x.localhost\r\n" + bearer, "421", "session saw"},
		{"a label with more", "GET / HTTP/1.1\r\nHost: " + host + ".localhost\r\n" + bearer, "421", "session saw"},
		{"an absolute address", "GET http://localhost/api/v1/sessions/shop%2F1/list HTTP/1.1\r\nHost: " + host + "\r\n", "401", "session saw"},
		{"an absolute address of a preview", "GET http://" + host + "/x HTTP/1.1\r\nHost: localhost\r\n" + bearer, "session saw GET " + host, `"files"`},
		{"two hosts", "GET / HTTP/1.1\r\nHost: " + host + "\r\nHost: localhost\r\n" + bearer, "400", "session saw"},
		{"two lengths", "POST / HTTP/1.1\r\nHost: " + host + "\r\n" + bearer + "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", "400", "session saw"},
		{"a strange encoding", "POST / HTTP/1.1\r\nHost: " + host + "\r\n" + bearer + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501", "session saw"},
		{"a space before a colon", "GET / HTTP/1.1\r\nHost: " + host + "\r\n" + bearer + "Content-Length : 3\r\n", "400", "session saw"},
		{"the platform's own path", "GET /.nixspace/open?ticket=x HTTP/1.1\r\nHost: " + host + "\r\n" + bearer, "401", "session saw"},
		{"a path that climbs there", "GET /x/../.nixspace/open HTTP/1.1\r\nHost: " + host + "\r\n" + bearer, "HTTP/1.1 ", `"files"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("tcp", p.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			head, rest, cut := strings.Cut(tt.request, "\r\n\r\n")
			head = strings.TrimSuffix(head, "\r\n") + "\r\nConnection: close\r\n\r\n"
			if cut {
				head += rest
			}
			if _, err := io.WriteString(c, head); err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(c)
			if !strings.Contains(string(b), tt.want) || strings.Contains(string(b), tt.not) {
				t.Errorf("%s\n→ %s", tt.request, b)
			}
		})
	}
	// A length and chunks in one request: chunks count, and nothing of it is a second
	// request.
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST /one HTTP/1.1\r\nHost: "+host+"\r\n"+bearer+"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	b, _ := io.ReadAll(c)
	if strings.Contains(string(b), "saw GET") {
		t.Errorf("a second request got in without authorisation:\n%s", b)
	}
}

func TestPreviewLinkIsForUsers(t *testing.T) {
	p := withPreview(t, http.NotFoundHandler())
	for name, tt := range map[string]struct {
		path, body, header, value string
		status                    int
	}{
		"nobody":          {"/api/v1/sessions/shop%2F1/previews", `{"port":3000}`, "Authorization", "", http.StatusUnauthorized},
		"another origin":  {"/api/v1/sessions/shop%2F1/previews", `{"port":3000}`, "Origin", "http://3000--1--shop--shop.localhost", http.StatusForbidden},
		"no port":         {"/api/v1/sessions/shop%2F1/previews", `{}`, "", "", http.StatusBadRequest},
		"no session":      {"/api/v1/sessions/none/previews", `{"port":3000}`, "", "", http.StatusNotFound},
		"a host":          {"/api/v1/previews", `{"host":"3000--1--shop--shop.localhost:1","path":"/x"}`, "", "", http.StatusOK},
		"another's host":  {"/api/v1/previews", `{"host":"3000--1--shop--shop.evil.example"}`, "", "", http.StatusBadRequest},
		"a path off host": {"/api/v1/sessions/shop%2F1/previews", `{"port":3000,"path":"//evil.example/"}`, "", "", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			status, body, _ := p.do(http.MethodPost, tt.path, strings.NewReader(tt.body), tt.header, tt.value)
			if status != tt.status || status == http.StatusOK && strings.Contains(body, "evil") {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}
