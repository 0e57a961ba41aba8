package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
)

// DialProtocol is the websocket subprotocol of connections to ports: binary messages
// are bytes, and the text message "eof" says that a side sends no more.
const DialProtocol = "nixspace.dial.v1"

const dialEOF = "eof"

// dial connects the client to a port of a session.
func (h *Handler) dial(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	port, err := strconv.Atoi(r.PathValue("port"))
	if err != nil || port < 1 || port > 65535 {
		h.fail(w, r, nixspace.Errorf(nixspace.KindInvalid, "port_invalid", "%q is not a TCP port", r.PathValue("port")))
		return
	}
	m, err := h.cfg.App.Machine(ctx, r.PathValue("ref"))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	guest, err := m.Dial(ctx, port)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer guest.Close()
	conn := accept(w, r, DialProtocol)
	if conn == nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(frameMax)
	defer h.farewell(conn, cancel)()
	relay(ctx, cancel, conn, guest)
}

// relay copies both ways until both sides have ended, or one is gone.
func relay(ctx context.Context, cancel context.CancelFunc, conn *websocket.Conn, guest net.Conn) {
	defer context.AfterFunc(ctx, func() {
		_ = guest.Close()
		_ = guest.SetDeadline(time.Unix(1, 0))
	})()
	var both sync.WaitGroup
	both.Go(func() {
		if !fromClient(ctx, conn, guest) {
			cancel()
		}
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := guest.Read(buf)
		if n > 0 && conn.Write(ctx, websocket.MessageBinary, buf[:n]) != nil {
			break
		}
		if errors.Is(err, io.EOF) {
			if conn.Write(ctx, websocket.MessageText, []byte(dialEOF)) == nil {
				both.Wait() // the client may have more to say
				_ = conn.Close(websocket.StatusNormalClosure, "")
			}
			break
		}
		if err != nil {
			_ = conn.Close(websocket.StatusInternalError, "the connection in the session broke")
			break
		}
	}
	cancel()
	both.Wait()
}

// fromClient passes on what the client sends, and returns whether it came to its end.
func fromClient(ctx context.Context, conn *websocket.Conn, guest net.Conn) bool {
	for {
		typ, b, err := conn.Read(ctx)
		if err != nil {
			return false
		}
		if typ == websocket.MessageText {
			if half, ok := guest.(interface{ CloseWrite() error }); ok && string(b) == dialEOF {
				return half.CloseWrite() == nil
			}
			return false
		}
		if _, err := guest.Write(b); err != nil {
			return false
		}
	}
}
