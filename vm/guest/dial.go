package guest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// stuck is how long a program in the guest may leave a connection's bytes
// untaken before the connection is given up.
const stuck = 10 * time.Minute

// dial connects the stream to a TCP port on the loopback interface: of IPv4 or,
// as some development servers listen there only, of IPv6.
func (a *Agent) dial(conn net.Conn, r wire.DialRequest) error {
	if r.Port < 1 || r.Port > 65535 {
		return nixspace.Errorf(nixspace.KindInvalid, "port_invalid", "%d is not a TCP port", r.Port)
	}
	d := net.Dialer{Timeout: 10 * time.Second}
	c, err := d.DialContext(context.Background(), "tcp4", net.JoinHostPort("127.0.0.1", itoa(r.Port)))
	if errors.Is(err, unix.ECONNREFUSED) {
		if c6, err6 := d.DialContext(context.Background(), "tcp6", net.JoinHostPort("::1", itoa(r.Port))); err6 == nil {
			c, err = c6, nil
		}
	}
	if err != nil {
		return nixspace.Errorf(nixspace.KindUnavailable, "port_refused", "nothing answers on port %d in the machine: %w", r.Port, err).
			WithHint("start the program that listens there, on 127.0.0.1")
	}
	tcp := c.(*net.TCPConn)
	defer func() { _ = tcp.Close() }()
	if err := wire.Reply(conn, nil); err != nil {
		return nil
	}
	relay(conn, wire.NewFrameReader(conn), tcp, tcp)
	return nil
}

// relay joins a stream and a connection of a program in the guest, whose bytes
// come from said.
func relay(conn net.Conn, frames *wire.FrameReader, tcp *net.TCPConn, said io.Reader) {
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() {
		w := wire.NewFrameWriter(conn)
		_, err := io.CopyBuffer(onlyWriter{w.Stream(wire.FrameOut)}, onlyReader{said}, make([]byte, 32<<10))
		if err != nil {
			_ = w.WriteJSON(wire.FrameError, wire.EncodeError(
				nixspace.Errorf(nixspace.KindUnavailable, "connection_broken", "the connection in the machine broke: %w", err)))
			cut(conn)
			return
		}
		_ = w.Write(wire.FrameOutEOF, nil)
	})
	// The stream's end is the connection's end, in whatever state it is.
	defer cut(conn)
	defer func() { _ = tcp.Close() }()
	refused := false
	for {
		t, p, err := frames.Next()
		if err != nil {
			return
		}
		switch t {
		case wire.FrameIn:
			// A program that takes no more may still answer: why, for example.
			if refused {
				continue
			}
			_ = tcp.SetWriteDeadline(time.Now().Add(stuck))
			if _, err := tcp.Write(p); err != nil {
				refused = true
			}
		case wire.FrameInEOF:
			_ = tcp.CloseWrite()
		default:
			return
		}
	}
}

// onlyReader and onlyWriter keep io.Copy from shortcuts around the buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)
