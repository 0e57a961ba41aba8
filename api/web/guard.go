package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/felixge/httpsnoop"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/people"
)

// bodyIdle is how long a client may be silent while it sends a body.
const bodyIdle = 30 * time.Second

// guard wraps all routes: it logs, recovers, sets headers, and keeps out what
// web pages of others send.
func (h *Handler) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := httpsnoop.CaptureMetrics(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer h.recover(w, r)
			header := w.Header()
			header.Set("X-Content-Type-Options", "nosniff")
			header.Set("X-Frame-Options", "DENY")
			header.Set("Referrer-Policy", "no-referrer")
			header.Set("Cross-Origin-Resource-Policy", "same-origin")
			header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
			header.Set("Cache-Control", "no-store")
			if r.TLS != nil {
				header.Set("Strict-Transport-Security", "max-age=31536000")
			}
			if err := h.admit(cross, r); err != nil {
				h.fail(w, r, err)
				return
			}
			if r.Body != nil && r.Body != http.NoBody {
				r.Body = &patientBody{ReadCloser: r.Body, ctl: http.NewResponseController(w)}
			}
			next.ServeHTTP(w, r)
		}), w, r)
		h.cfg.Log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path,
			"status", m.Code, "bytes", m.Written, "duration", m.Duration)
	})
}

// admit refuses requests that a web page of somebody else's made.
func (h *Handler) admit(cross *http.CrossOriginProtection, r *http.Request) error {
	if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return nil // probes ask by any name, and learn nothing
	}
	if !h.cfg.Hosts.Allowed(r.Host) {
		return nixspace.Errorf(nixspace.KindForbidden, "host_unknown", "this server does not answer to the name %q", r.Host).
			WithHint("ask it by localhost, or name the host when the server is started")
	}
	err := cross.Check(r)
	// A websocket is opened by GET, which the check lets pass.
	if err != nil || !h.cfg.Hosts.OriginAllowed(r.Header.Get("Origin"), r.Host) {
		return nixspace.Errorf(nixspace.KindForbidden, "origin_forbidden", "a page of another origin may not send requests here")
	}
	return nil
}

// user lets only users pass, and puts the one that asks, and what they may do, into
// the context. It ends when they may do less.
func (h *Handler) user(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		actor, err := h.cfg.Auth.Authenticate(r)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		ctx, done, err := h.cfg.App.Admit(nixspace.WithOrigin(r.Context(), origin(r)), actor)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		defer done()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// operation serves a route for users whom the authorizer lets do what it does. Its
// name is the pattern.
func (h *Handler) operation(mux *http.ServeMux, pattern string, next http.Handler) {
	h.operations = append(h.operations, pattern)
	mux.Handle(pattern, h.user(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, err := people.Authorize(r.Context(), pattern)
		record := func(err error) {
			if people.Recorded(pattern) {
				h.cfg.App.Record(r.Context(), pattern, r.PathValue("ref"), err)
			}
		}
		if err != nil {
			record(err)
			h.fail(w, r, err)
			return
		}
		// What lasts is in the trail from its beginning, unless it is refused.
		out := &outcome{}
		defer func() { record(out.err) }()
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, outcomeKey{}, out)))
	})))
}

// outcome is how a request ended, for the audit trail.
type outcome struct{ err error }

type outcomeKey struct{}

// origin is where a request came from.
func origin(r *http.Request) nixspace.Origin {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return nixspace.Origin{Address: host, Agent: r.UserAgent()}
}

func (h *Handler) recover(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // the server ends the connection without a word
	}
	h.cfg.Log.ErrorContext(r.Context(), "panic in a handler", "panic", fmt.Sprint(v), "path", r.URL.Path, "stack", string(debug.Stack()))
	h.fail(w, r, fmt.Errorf("panic: %v", v))
}

// problem is an error as it leaves the server.
type problem struct {
	Kind    nixspace.Kind  `json:"kind"`
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Hint    string         `json:"hint,omitempty"`
	Details map[string]any `json:"details,omitempty"`
}

// problemOf turns any error into one that may leave the server. A defect goes
// out as a number only, and into the log with its text.
func (h *Handler) problemOf(r *http.Request, err error) problem {
	var e *nixspace.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		e = nixspace.Errorf(nixspace.KindLimit, "body_too_large", "the request is larger than %d bytes", large.Limit)
	case errors.As(err, &e):
	case r.Context().Err() != nil:
		e = nixspace.Errorf(nixspace.KindCanceled, "canceled", "the request was given up")
	default:
		id := nixspace.NewID()
		h.cfg.Log.ErrorContext(r.Context(), "request failed", "error_id", id, "path", r.URL.Path, "err", err)
		e = nixspace.Errorf(nixspace.KindInternal, "internal", "internal error %s", id).
			WithHint("the server's log says more under this number").WithDetail("id", string(id))
	}
	return problem{e.Kind, e.Code, e.Message, e.Hint, e.Details}
}

// fail answers with an error.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if out, ok := r.Context().Value(outcomeKey{}).(*outcome); ok {
		out.err = err
	}
	p := h.problemOf(r, err)
	status := http.StatusInternalServerError
	switch p.Kind {
	case nixspace.KindInvalid:
		status = http.StatusBadRequest
	case nixspace.KindNotFound:
		status = http.StatusNotFound
	case nixspace.KindExists, nixspace.KindConflict:
		status = http.StatusConflict
	case nixspace.KindUnauthorized:
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer realm="nixspace"`)
	case nixspace.KindForbidden:
		status = http.StatusForbidden
	case nixspace.KindBuild:
		status = http.StatusUnprocessableEntity
	case nixspace.KindLimit:
		status = http.StatusRequestEntityTooLarge
	case nixspace.KindUnavailable:
		status = http.StatusServiceUnavailable
	case nixspace.KindCanceled:
		status = 499 // the client is gone; the number is for the log
	case nixspace.KindInternal:
	}
	if p.Code == "host_unknown" {
		status = http.StatusMisdirectedRequest
	}
	writeJSON(w, status, map[string]problem{"error": p})
}

// isStream reports whether a request to /graphql is a subscription's.
func isStream(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// patientBody is a body whose sender may be slow, but not silent.
type patientBody struct {
	io.ReadCloser
	ctl *http.ResponseController
}

// Read sets a deadline for as long as it waits. It must not stay set: the server
// would take it for the end of the client.
func (b *patientBody) Read(p []byte) (int, error) {
	_ = b.ctl.SetReadDeadline(time.Now().Add(bodyIdle))
	n, err := b.ReadCloser.Read(p)
	_ = b.ctl.SetReadDeadline(time.Time{})
	return n, err
}
