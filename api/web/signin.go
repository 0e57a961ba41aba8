package web

import (
	"encoding/json"
	"net/http"

	"github.com/nixspace/nixspace"
)

// SignIns give browsers a cookie and take it back. [auth.Browser] is the one that
// serves.
type SignIns interface {
	SignIn(w http.ResponseWriter, r *http.Request, code string) error
	SignOut(w http.ResponseWriter, r *http.Request)
}

func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Code string `json:"code"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&in); err != nil {
		h.fail(w, r, nixspace.Errorf(nixspace.KindInvalid, "body_invalid", `the body must be {"code": "…"}`))
		return
	}
	if err := h.cfg.SignIns.SignIn(w, r, in.Code); err != nil {
		h.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) signOut(w http.ResponseWriter, r *http.Request) {
	h.cfg.SignIns.SignOut(w, r)
	w.WriteHeader(http.StatusNoContent)
}
