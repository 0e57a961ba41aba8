// Package relay joins the host's streams with connections of programs in the guest.
package relay

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// stuck is how long a program in the guest may leave a connection's bytes
// untaken before the connection is given up.
const stuck = 10 * time.Minute

// Join joins a stream and a connection of a program in the guest, whose bytes come
// from said, until the stream ends. It closes both.
func Join(conn net.Conn, frames *wire.FrameReader, tcp *net.TCPConn, said io.Reader) {
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() {
		w := wire.NewFrameWriter(conn)
		_, err := io.CopyBuffer(onlyWriter{w.Stream(wire.FrameOut)}, onlyReader{said}, make([]byte, 32<<10))
		if err != nil {
			_ = w.WriteJSON(wire.FrameError, wire.EncodeError(
				nixspace.Errorf(nixspace.KindUnavailable, "connection_broken", "the connection in the machine broke: %w", err)))
			Cut(conn)
			return
		}
		_ = w.Write(wire.FrameOutEOF, nil)
	})
	// The stream's end is the connection's end, in whatever state it is.
	defer Cut(conn)
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

// Cut ends a stream and whoever reads or writes it.
func Cut(conn net.Conn) {
	_ = conn.Close()
	_ = conn.SetDeadline(time.Unix(1, 0))
}
