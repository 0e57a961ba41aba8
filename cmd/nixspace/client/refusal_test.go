package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
)

// A refusal of a socket comes through whole, however long it is.
func TestRefusedSocket(t *testing.T) {
	long := strings.Repeat("ä", 3000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"error":{"kind":"conflict","code":"session_not_running","message":"` + long + `","hint":"start it","details":{"n":1}}}`))
	}))
	defer server.Close()
	c, err := New(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Exec(t.Context(), "shop/1", nixspace.Command{Argv: []string{"true"}})
	var e *nixspace.Error
	if !errors.As(err, &e) || e.Code != "session_not_running" || e.Message != long || e.Hint != "start it" || e.Details["n"] != 1.0 {
		t.Errorf("got %v", err)
	}
}
