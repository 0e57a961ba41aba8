package web_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nixspace/nixspace/api/apitest"
	"github.com/nixspace/nixspace/api/auth"
	"github.com/nixspace/nixspace/api/web"
)

func withSite(c *web.Config) {
	c.Site = fstest.MapFS{
		"index.html":             {Data: []byte("<!doctype html><title>page</title>")},
		"theme.js":               {Data: []byte("theme()")},
		"assets/main-abc.js":     {Data: []byte("main()")},
		"assets/main-abc.js.gz":  {Data: []byte("gzipped")},
		"assets/main-abc.js.br":  {Data: []byte("brotlied")},
		"assets/inter-def.woff2": {Data: []byte("font")},
	}
}

func TestSite(t *testing.T) {
	s := start(t, withSite)
	html := []string{"Accept", "text/html,*/*"}
	for _, tt := range []struct {
		name, method, path string
		header             []string
		status             int
		body               string
	}{
		{"the page", "GET", "/", nil, 200, "<!doctype html><title>page</title>"},
		{"a page of its own address", "GET", "/p/shop", html, 200, "<!doctype html><title>page</title>"},
		{"an address that no person opens", "GET", "/p/shop", []string{"Accept", "application/json"}, 404, ""},
		{"an API that is not there", "GET", "/api/v2/x", html, 404, ""},
		{"a page that is sent something", "POST", "/p/shop", html, 404, ""},
		{"a file", "GET", "/theme.js", nil, 200, "theme()"},
		{"a compressed file's own name", "GET", "/assets/main-abc.js.br", nil, 404, ""},
		{"brotli", "GET", "/assets/main-abc.js", []string{"Accept-Encoding", "gzip, br"}, 200, "brotlied"},
		{"gzip", "GET", "/assets/main-abc.js", []string{"Accept-Encoding", "gzip, br;q=0"}, 200, "gzipped"},
		{"not compressed", "GET", "/assets/main-abc.js", []string{"Accept-Encoding", "identity"}, 200, "main()"},
		{"a way out", "GET", "/assets/../../web.go", []string{"Accept-Encoding", "identity"}, 404, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := append([]string{"Authorization", ""}, tt.header...)
			status, body, h := s.do(tt.method, tt.path, nil, header...)
			if status != tt.status || tt.body != "" && body != tt.body {
				t.Fatalf("status %d, body %q; want %d, %q", status, body, tt.status, tt.body)
			}
			policy := h.Get("Content-Security-Policy")
			if strings.Contains(policy, "script-src 'self' 'unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
				t.Errorf("policy %q", policy)
			}
			if status != http.StatusOK {
				return
			}
			if immutable := strings.Contains(h.Get("Cache-Control"), "immutable"); immutable != strings.HasPrefix(tt.path, "/assets/") {
				t.Errorf("cache control %q", h.Get("Cache-Control"))
			}
			status, _, _ = s.do(tt.method, tt.path, nil, append(header, "If-None-Match", h.Get("ETag"))...)
			if status != http.StatusNotModified {
				t.Errorf("asked again: status %d, want 304", status)
			}
		})
	}
}

// TestSignIn signs a browser in, by the code of the link, and out again.
func TestSignIn(t *testing.T) {
	s := start(t, func(c *web.Config) {
		b, err := auth.NewBrowser(c.Auth, []byte(strings.Repeat("k", 32)), auth.SignInCode(token), apitest.Owner)
		if err != nil {
			t.Fatal(err)
		}
		c.Auth, c.SignIns = b, b
	})
	signIn := func(body string) (int, string, string) {
		status, answer, h := s.do("POST", "/api/v1/sign-in", strings.NewReader(body), "Authorization", "")
		cookie, _, _ := strings.Cut(h.Get("Set-Cookie"), ";")
		return status, code(answer), cookie
	}
	for body, want := range map[string]string{`{"code":"x"}`: "code_wrong", `{}`: "code_wrong", "code": "body_invalid", strings.Repeat(" ", 10000): "body_invalid"} {
		if status, got, cookie := signIn(body); got != want || cookie != "" || status < 400 {
			t.Errorf("%.20q: status %d, %s, cookie %q; want %s", body, status, got, cookie, want)
		}
	}
	status, _, cookie := signIn(`{"code":"` + auth.SignInCode(token) + `"}`)
	if status != http.StatusNoContent || cookie == "" {
		t.Fatalf("status %d, cookie %q", status, cookie)
	}
	ask := func(header ...string) int {
		status, _, _ := s.do("POST", "/graphql", strings.NewReader(query), append([]string{"Authorization", "", "Content-Type", "application/json"}, header...)...)
		return status
	}
	if got := ask("Cookie", cookie); got != 200 {
		t.Errorf("with the cookie: status %d", got)
	}
	if got := ask(); got != 401 {
		t.Errorf("without: status %d, want 401", got)
	}
	if got := ask("Cookie", cookie, "Origin", "http://evil.example"); got != 403 {
		t.Errorf("from a page of another site: status %d, want 403", got)
	}
	if status, _, h := s.do("POST", "/api/v1/sign-out", nil, "Cookie", cookie); status != 204 || !strings.Contains(h.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("signing out: status %d, %q", status, h.Get("Set-Cookie"))
	}
}
