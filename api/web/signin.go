package web

import (
	"encoding/json"
	"net/http"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/people"
)

// SignIns give browsers a cookie and take it back. [auth.Browser] is the one that
// serves the local owner.
type SignIns interface {
	SignIn(w http.ResponseWriter, r *http.Request, code string) error
	SignOut(w http.ResponseWriter, r *http.Request)
}

// Entrances let in those who have an account, and give them a cookie, or a token
// where they ask for one. [auth.Accounts] is the one that serves.
type Entrances interface {
	Enter(w http.ResponseWriter, r *http.Request, in people.SignIn) (*people.Granted, error)
	Join(w http.ResponseWriter, r *http.Request, in people.Join) (*people.Granted, error)
}

// signInBody is what is sent to sign in: the code of the local owner's link, or a
// name and a password; or, to join, an invitation and both.
type signInBody struct {
	Code     string `json:"code"`
	Name     string `json:"name"`
	Password string `json:"password"`
	TOTP     string `json:"totp"`
	Token    string `json:"token"` // the name of the token that is asked for
}

func (h *Handler) readSignIn(w http.ResponseWriter, r *http.Request) (in signInBody, ok bool) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&in); err != nil {
		h.fail(w, r, nixspace.Errorf(nixspace.KindInvalid, "body_invalid", `the body must be {"code": "…"} or {"name": "…", "password": "…"}`))
		return in, false
	}
	return in, true
}

func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) {
	in, ok := h.readSignIn(w, r)
	if !ok {
		return
	}
	e, accounts := h.cfg.SignIns.(Entrances)
	if in.Name == "" || !accounts {
		if err := h.cfg.SignIns.SignIn(w, r, in.Code); err != nil {
			h.fail(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	r = r.WithContext(nixspace.WithOrigin(r.Context(), origin(r)))
	got, err := e.Enter(w, r, people.SignIn{Name: in.Name, Password: in.Password, Code: in.TOTP, Token: in.Token})
	h.entered(w, r, "sign in", in.Name, got, err)
}

func (h *Handler) join(w http.ResponseWriter, r *http.Request) {
	in, ok := h.readSignIn(w, r)
	if !ok {
		return
	}
	e, accounts := h.cfg.SignIns.(Entrances)
	if !accounts {
		h.fail(w, r, nixspace.Errorf(nixspace.KindNotFound, "route_unknown", "this server has no accounts"))
		return
	}
	r = r.WithContext(nixspace.WithOrigin(r.Context(), origin(r)))
	got, err := e.Join(w, r, people.Join{Code: in.Code, Name: in.Name, Password: in.Password, Token: in.Token})
	h.entered(w, r, "join", in.Name, got, err)
}

// entered answers who signed in, or did not, and records it.
func (h *Handler) entered(w http.ResponseWriter, r *http.Request, what, name string, got *people.Granted, err error) {
	ctx := r.Context()
	if err == nil {
		name = got.Credential.User
		ctx = nixspace.WithActor(ctx, nixspace.Actor{ID: got.Credential.UserID, Name: name, Credential: got.Credential.ID})
	}
	h.cfg.App.Record(ctx, what, name, err)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Name   string `json:"name"`
		Secret string `json:"secret,omitempty"`
	}{name, got.Secret})
}

func (h *Handler) signOut(w http.ResponseWriter, r *http.Request) {
	h.cfg.SignIns.SignOut(w, r)
	w.WriteHeader(http.StatusNoContent)
}
