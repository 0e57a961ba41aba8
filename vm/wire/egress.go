package wire

import (
	"context"
	"encoding/json"
	"net"
	"time"

	"github.com/nixspace/nixspace"
)

// AcceptEgress waits until a program in the guest wants a connection out of it.
// The guest opens no streams itself, so this is how it gets one. It returns when
// ctx ends, too.
func (c *Client) AcceptEgress(ctx context.Context) (*Egress, error) {
	var r EgressRequest
	conn, err := c.start(ctx, ServiceEgress, struct{}{}, &r)
	if err != nil {
		return nil, err
	}
	if len(r.Host) > 255 || r.Port < 1 || r.Port > 65535 {
		_ = conn.Close()
		return nil, protocolError("a connection to %.300q, port %d, is asked for", r.Host, r.Port)
	}
	return &Egress{
		EgressRequest: r,
		Conn:          &Conn{conn: conn, w: NewFrameWriter(conn), frames: NewFrameReader(conn), port: r.Port},
	}, nil
}

// Egress is a connection that a program in the guest wants. Exactly one of Allow
// and Refuse is called first; the rest is as for [Conn].
type Egress struct {
	EgressRequest
	*Conn
}

// Allow says that the connection is made: what follows is its content.
func (e *Egress) Allow() error { return e.Conn.w.WriteJSON(FrameResult, struct{}{}) }

// Refuse says why there is no connection, and ends the stream.
func (e *Egress) Refuse(reason error) error {
	_ = e.SetWriteDeadline(time.Now().Add(10 * time.Second))
	err := e.Conn.w.WriteJSON(FrameError, EncodeError(reason))
	_ = e.Close()
	return err
}

// AskEgress is the guest's side: it answers the header of a stream with a request
// and waits for the host's word. The error is the host's, where it refuses. The
// frames of the connection follow on the reader that it returns.
func AskEgress(conn net.Conn, r EgressRequest) (*FrameReader, error) {
	if err := Reply(conn, r); err != nil {
		return nil, lost(err)
	}
	frames := NewFrameReader(conn)
	t, p, err := frames.Next()
	switch {
	case err != nil:
		return nil, lost(err)
	case t == FrameResult && json.Valid(p):
		return frames, nil
	case t == FrameError:
		return nil, DecodeError(p)
	}
	return nil, nixspace.Errorf(nixspace.KindInternal, "protocol_error", "guest protocol: unexpected frame of type %d", t)
}
