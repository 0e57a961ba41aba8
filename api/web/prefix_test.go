package web_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nixspace/nixspace/api/web"
)

func TestPathPrefix(t *testing.T) {
	const page = `<script src="./theme.js"></script><a href="https://x/">./</a>`
	s := start(t, func(c *web.Config) {
		c.PathPrefix = "/tools/nixspace"
		c.Site = fstest.MapFS{"index.html": {Data: []byte(page)}, "index.html.gz": {Data: []byte("old")}, "theme.js": {Data: []byte("theme()")}}
	})
	html := []string{"Accept", "text/html", "Accept-Encoding", "gzip"}
	want := strings.Replace(page, "./theme.js", "/tools/nixspace/theme.js", 1)
	for _, tt := range []struct {
		name, path string
		header     []string
		status     int
		body       string
	}{
		{"the page", "/tools/nixspace/", html, 200, want},
		{"a deep page", "/tools/nixspace/p/shop", html, 200, want},
		{"of a proxy that takes it off", "/p/shop", html, 200, want},
		{"a file", "/tools/nixspace/theme.js", nil, 200, "theme()"},
		{"a file without it", "/theme.js", nil, 200, "theme()"},
		{"the API", "/tools/nixspace/api/v1/sessions/shop%2Fshop%2F1/logs", nil, 200, ""},
		{"a longer name", "/tools/nixspace2/theme.js", nil, 404, ""},
		{"twice", "/tools/nixspace/tools/nixspace/theme.js", nil, 404, ""},
		{"nothing", "/tools/nixspace/api/v1/none", nil, 404, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body, _ := s.do("GET", tt.path, nil, tt.header...)
			if status != tt.status || tt.body != "" && body != tt.body {
				t.Errorf("status %d, body %q; want %d, %q", status, body, tt.status, tt.body)
			}
		})
	}
}

func TestCheckPathPrefix(t *testing.T) {
	for prefix, good := range map[string]bool{
		"": true, "/a": true, "/tools/nix-space_1.x": true,
		"/": false, "a": false, "/a/": false, "//host": false, "/a//b": false, "/../x": false, "/a/./b": false, `/a"b`: false, "/a b": false, "/<a>": false, "/a\n": false,
	} {
		if err := web.CheckPathPrefix(prefix); (err == nil) != good {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
}
