package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func ask(method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestGuestBook(t *testing.T) {
	if os.Getenv("PGHOST") == "" {
		t.Skip("there is no PostgreSQL here: run it in a session")
	}
	if err := migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`it's "%d"; DROP TABLE messages; --`, rand.Int())
	var made message
	if w := ask("POST", "/messages", text); w.Code != 201 || json.Unmarshal(w.Body.Bytes(), &made) != nil || made.Text != text {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	var all []message
	if w := ask("GET", "/", ""); w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &all) != nil || len(all) == 0 || all[0] != made {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if _, err := query(t.Context(), `DELETE FROM messages WHERE id = :'id'::bigint`, map[string]string{"id": fmt.Sprint(made.ID)}); err != nil {
		t.Error(err)
	}
}

func TestRefuses(t *testing.T) {
	for _, body := range []string{"", "  ", strings.Repeat("x", 501), strings.Repeat("x", 3000)} {
		if w := ask("POST", "/messages", body); w.Code != 400 {
			t.Errorf("%d characters: got %d", len(body), w.Code)
		}
	}
	if w := ask("GET", "/nothing", ""); w.Code != 404 {
		t.Errorf("got %d", w.Code)
	}
}
