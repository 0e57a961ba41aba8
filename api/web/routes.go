package web

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
)

const (
	graphqlBody    = 2 << 20         // bytes
	graphqlTimeout = 5 * time.Minute // of a query or mutation
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // a client that is gone has no use for it
}

func (h *Handler) graphql(gql http.Handler) http.Handler {
	streams := h.stream(gql.ServeHTTP)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > graphqlBody {
			h.fail(w, r, &http.MaxBytesError{Limit: graphqlBody})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, graphqlBody)
		if isStream(r) {
			streams.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			h.fail(w, r, nixspace.Errorf(nixspace.KindInvalid, "method_invalid", "GraphQL requests are sent by POST"))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), graphqlTimeout)
		defer cancel()
		gql.ServeHTTP(w, r.WithContext(ctx))
	})
}

// putWorkspace stores the archive that is the request's body.
func (h *Handler) putWorkspace(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > h.cfg.MaxWorkspace {
		h.fail(w, r, &http.MaxBytesError{Limit: h.cfg.MaxWorkspace})
		return
	}
	ws, err := h.cfg.App.PutWorkspace(r.Context(), http.MaxBytesReader(w, r.Body, h.cfg.MaxWorkspace))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, struct {
		Digest string `json:"digest"`
		Size   int64  `json:"size"`
		Files  int    `json:"files"`
	}{ws.Digest, ws.Size, ws.Files})
}

// putArchive stores the archive of code, or the flake.nix, that is the request's
// body.
func (h *Handler) putArchive(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > h.cfg.MaxWorkspace {
		h.fail(w, r, &http.MaxBytesError{Limit: h.cfg.MaxWorkspace})
		return
	}
	code, err := h.cfg.App.Unpack(r.Context(), http.MaxBytesReader(w, r.Body, h.cfg.MaxWorkspace))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, struct {
		Digest string   `json:"digest"`
		Size   int64    `json:"size"`
		Files  int      `json:"files"`
		Notes  []string `json:"notes"`
	}{code.Workspace.Digest, code.Workspace.Size, code.Workspace.Files, append([]string{}, code.Notes...)})
}

// logs streams the log of a session's machine, or of one of its services.
func (h *Handler) logs(w http.ResponseWriter, r *http.Request) {
	m, err := h.cfg.App.Machine(r.Context(), r.PathValue("ref"))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	q := r.URL.Query()
	follow := q.Get("follow") == "1" || q.Get("follow") == "true"
	log, err := m.Logs(r.Context(), q.Get("service"), follow)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer log.Close()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	ctl := http.NewResponseController(w)
	_ = ctl.Flush()
	buf := make([]byte, 32<<10)
	for {
		n, err := log.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return
			}
			_ = ctl.Flush()
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), r.Context().Err() != nil:
			return
		default:
			h.cfg.Log.WarnContext(r.Context(), "log stream broke", "session", r.PathValue("ref"), "err", err)
			panic(http.ErrAbortHandler) // the client must not take this for the end
		}
	}
}

//go:embed landing.html
var landingHTML string

var landingPage = template.Must(template.New("landing").Parse(landingHTML))

// landingStyle is the digest of the page's style, which its policy names.
var landingStyle = func() string {
	_, rest, _ := strings.Cut(landingHTML, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

func (h *Handler) landing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+landingStyle+"'; frame-ancestors 'none'")
	_ = landingPage.Execute(w, struct{ Version, Host string }{h.cfg.Version, r.Host})
}
