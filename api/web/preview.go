package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"

	"github.com/felixge/httpsnoop"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/preview"
)

// preview serves a request to a preview's host. Of what guards the platform, what is
// about pages of the platform has no place here.
func (h *Handler) preview(w http.ResponseWriter, r *http.Request) {
	m := httpsnoop.CaptureMetrics(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				h.cfg.Log.ErrorContext(r.Context(), "panic in a preview", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			}
			panic(http.ErrAbortHandler) // an answer may have begun
		}()
		h.cfg.Previews.ServeHTTP(w, r)
	}), w, r)
	h.cfg.Log.DebugContext(r.Context(), "preview", "method", r.Method, "host", r.Host, "status", m.Code, "bytes", m.Written, "duration", m.Duration)
}

// previewLink answers with the address of a preview, by a session and its port or by
// the preview's host.
func (h *Handler) previewLink(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Port int    `json:"port"`
		Host string `json:"host"`
		Path string `json:"path"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&in); err != nil {
		h.fail(w, r, nixspace.Errorf(nixspace.KindInvalid, "body_invalid", `the body must be {"port": 3000, "path": "/"}`))
		return
	}
	base := baseOf(r)
	if in.Path == "" {
		in.Path = "/"
	}
	var link preview.Link
	var err error
	if ref := r.PathValue("ref"); ref != "" {
		if in.Port == preview.Editor { // the editor has an address of its own
			h.fail(w, r, nixspace.Errorf(nixspace.KindInvalid, "port_invalid", "%d is not a TCP port", in.Port))
			return
		}
		link, err = h.cfg.Previews.Link(r.Context(), base, ref, in.Port, in.Path)
	} else {
		link, err = h.cfg.Previews.LinkOf(r.Context(), base, in.Host, in.Path)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, link)
}

// baseOf returns the address under which the platform was asked.
func baseOf(r *http.Request) *url.URL {
	base := &url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		base.Scheme = "https"
	}
	// A proxy may speak TLS before this server; then the client knows it.
	if o, err := url.Parse(r.Header.Get("Origin")); err == nil && o.Host == r.Host && o.Scheme == "https" {
		base.Scheme = "https"
	}
	return base
}
