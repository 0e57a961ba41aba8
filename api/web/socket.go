package web

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

// accept joins a client that speaks a protocol, and returns nil where it answered that
// it does not. The caller closes the connection with CloseNow.
func accept(w http.ResponseWriter, r *http.Request, protocol string) *websocket.Conn {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil // Accept answered
	}
	if conn.Subprotocol() != protocol {
		_ = conn.Close(websocket.StatusPolicyViolation, "the subprotocol must be "+protocol)
		return nil
	}
	return conn
}

// farewell ends a connection when the server stops, until the function is called that
// it returns. The end of a context cuts the connection, so the farewell comes first.
func (h *Handler) farewell(conn *websocket.Conn, cancel context.CancelFunc) (stop func() bool) {
	return context.AfterFunc(h.streams, func() {
		_ = conn.Close(websocket.StatusGoingAway, "the server is stopping")
		cancel()
	})
}
