package main

import (
	"net/http/httptest"
	"testing"
)

func TestHandler(t *testing.T) {
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/?name=Ada": {200, `{"hello":"Ada"}` + "\n"},
		"/":          {200, `{"hello":"world"}` + "\n"},
		"/healthz":   {200, `{"ok":true}` + "\n"},
		"/nothing":   {404, "404 page not found\n"},
	} {
		w := httptest.NewRecorder()
		handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want.status || w.Body.String() != want.body {
			t.Errorf("%s: got %d %q", path, w.Code, w.Body)
		}
	}
}
