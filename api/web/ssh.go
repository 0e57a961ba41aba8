package web

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// sshKey answers with the public host key of the SSH server.
func (h *Handler) sshKey(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"host_key": h.cfg.SSH.HostKey()})
}

// ssh joins the client with the SSH server in front of a session, by the protocol of
// connections to ports. Who comes this far may work in the session.
func (h *Handler) ssh(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	m, err := h.cfg.App.Machine(ctx, r.PathValue("ref"))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	conn := accept(w, r, DialProtocol)
	if conn == nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(frameMax)
	defer h.farewell(conn, cancel)()
	ours, theirs := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := h.cfg.SSH.Serve(ctx, theirs, m); err != nil && ctx.Err() == nil {
			h.cfg.Log.DebugContext(ctx, "ssh", "session", r.PathValue("ref"), "err", err)
		}
	})
	relay(ctx, cancel, conn, ours)
	serving.Wait()
}
