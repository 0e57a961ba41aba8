// Command app is a guest book over PostgreSQL.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

func main() {
	if err := migrate(context.Background()); err != nil {
		log.Fatal(err)
	}
	address := net.JoinHostPort(cmp.Or(os.Getenv("HOST"), "127.0.0.1"), cmp.Or(os.Getenv("PORT"), "8080"))
	log.Printf("http://%s", address)
	server := &http.Server{Addr: address, Handler: handler(), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// message is one entry of the book.
type message struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
}

// migrate makes the table, if it is not there.
func migrate(ctx context.Context) error {
	_, err := query(ctx, `SET client_min_messages = warning;
		CREATE TABLE IF NOT EXISTS messages (
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			text text NOT NULL CHECK (length(text) BETWEEN 1 AND 500),
			at timestamptz NOT NULL DEFAULT now()
		);`, nil)
	return err
}

// handler is the application.
func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		found, err := rows[message](r.Context(), "SELECT id, text FROM messages ORDER BY id DESC LIMIT 50", nil)
		answer(w, http.StatusOK, found, err)
	})
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2000))
		text := strings.TrimSpace(string(body))
		if n := utf8.RuneCountInString(text); err != nil || n == 0 || n > 500 {
			http.Error(w, "a message has 1 to 500 characters", http.StatusBadRequest)
			return
		}
		made, err := rows[message](r.Context(), "INSERT INTO messages (text) VALUES (:'text') RETURNING id, text", map[string]string{"text": text})
		if err == nil {
			answer(w, http.StatusCreated, made[0], nil)
			return
		}
		answer(w, 0, nil, err)
	})
	return mux
}

func answer(w http.ResponseWriter, status int, body any, err error) {
	if err != nil {
		log.Print(err)
		http.Error(w, "the database does not answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Printf("answer: %v", err)
	}
}
