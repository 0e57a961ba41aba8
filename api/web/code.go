package web

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/code"
	"github.com/nixspace/nixspace/api/preview"
)

// editor serves the host of a session's editor to somebody who may work in the
// session. The platform's cookies and tokens have been taken from the request.
func (h *Handler) editor(w http.ResponseWriter, r *http.Request, session nixspace.ID) {
	switch r.URL.Path {
	case "/api/socket":
		h.codeSocket(w, r, session)
	case "/api/shell":
		r.SetPathValue("ref", string(session))
		h.shell(w, r)
	default:
		h.cfg.Workbench.ServeHTTP(w, r)
	}
}

// codeSocket joins the workbench with the machine.
func (h *Handler) codeSocket(w http.ResponseWriter, r *http.Request, session nixspace.ID) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	conn := accept(w, r, code.Protocol)
	if conn == nil {
		return
	}
	defer conn.CloseNow()
	s, err := h.cfg.App.Session(ctx, string(session))
	if err != nil {
		code.Refuse(ctx, conn, err)
		return
	}
	m, err := h.cfg.App.Machine(ctx, string(session))
	if err != nil {
		code.Refuse(ctx, conn, err)
		return
	}
	defer h.farewell(conn, cancel)()
	hello := code.Hello{Session: s.Ref(), Folder: h.cfg.Folder, Platform: h.cfg.Previews.Platform()}
	if err := code.Serve(ctx, conn, m, hello); err != nil && ctx.Err() == nil {
		h.cfg.Log.DebugContext(ctx, "editor", "session", s.Ref(), "err", err)
	}
}

// codeLink answers with the address of a session's editor.
func (h *Handler) codeLink(w http.ResponseWriter, r *http.Request) {
	if h.cfg.Workbench == nil {
		h.fail(w, r, nixspace.Errorf(nixspace.KindUnavailable, "editor_missing", "this nixspace carries no editor").
			WithHint("build it with make build"))
		return
	}
	var in struct {
		Path string `json:"path"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&in); err != nil {
		h.fail(w, r, nixspace.Errorf(nixspace.KindInvalid, "body_invalid", `the body must be {"path": "/"}`))
		return
	}
	if in.Path == "" {
		in.Path = "/"
	}
	link, err := h.cfg.Previews.Link(r.Context(), baseOf(r), r.PathValue("ref"), preview.Editor, in.Path)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, link)
}
