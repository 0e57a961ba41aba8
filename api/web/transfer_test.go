package web_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/nixspace/nixspace/api/web"
)

func TestTransfer(t *testing.T) {
	spool := t.TempDir()
	s := start(t, func(c *web.Config) { c.MaxImport, c.Spool = 1000, spool })
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"PUT", "/api/v1/imports?as=copy&trust=1", "12345", http.StatusCreated, `"environment":"shop/copy"`},
		{"PUT", "/api/v1/imports", strings.Repeat("x", 1001), http.StatusRequestEntityTooLarge, "body_too_large"},
		{"GET", "/api/v1/export?ref=shop", "", http.StatusBadRequest, "not_built"},
		{"GET", "/api/v1/export?ref=nope", "", http.StatusNotFound, "not_found"},
		{"GET", "/api/v1/export?ref=shop&history=-1", "", http.StatusBadRequest, "history_invalid"},
	} {
		res, body, _ := s.do(tt.method, tt.path, strings.NewReader(tt.body))
		if res != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, res, body)
		}
		if res, _, _ := s.do(tt.method, tt.path, strings.NewReader(tt.body), "Authorization", ""); res != http.StatusUnauthorized {
			t.Errorf("%s %s by nobody: %d", tt.method, tt.path, res)
		}
	}
	left, err := os.ReadDir(spool)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestArchives(t *testing.T) {
	s := start(t, func(c *web.Config) { c.MaxWorkspace = 1000 })
	for body, want := range map[string]int{"an archive": http.StatusCreated, strings.Repeat("x", 1001): http.StatusRequestEntityTooLarge} {
		res, got, _ := s.do("PUT", "/api/v1/archives", strings.NewReader(body))
		if res != want || want == http.StatusCreated && !strings.Contains(got, `"size":10,"files":1,"notes":[]`) {
			t.Errorf("%d bytes: %d %s", len(body), res, got)
		}
	}
	if res, _, _ := s.do("PUT", "/api/v1/archives", strings.NewReader("x"), "Authorization", ""); res != http.StatusUnauthorized {
		t.Errorf("by nobody: %d", res)
	}
}
