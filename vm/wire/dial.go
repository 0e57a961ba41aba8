package wire

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// Dial connects to a TCP port on the guest's loopback interface. It fails with
// code "port_refused" when nothing listens there. The connection is a
// [*Conn], which can close its two directions by themselves.
func (c *Client) Dial(ctx context.Context, port int) (net.Conn, error) {
	conn, err := c.start(ctx, ServiceDial, DialRequest{Port: port}, nil)
	if err != nil {
		return nil, err
	}
	return &Conn{conn: conn, w: NewFrameWriter(conn), frames: NewFrameReader(conn), port: port}, nil
}

// Conn is a connection to a TCP port in a guest. One goroutine may read while
// others write.
type Conn struct {
	conn   net.Conn
	port   int
	w      *FrameWriter
	closed sync.Once

	reading sync.Mutex
	frames  *FrameReader
	left    int
	eof     bool
}

// Read reads from the connection; io.EOF when the guest's side has closed it.
func (c *Conn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for c.left == 0 {
		if c.eof {
			return 0, io.EOF
		}
		t, n, err := c.frames.NextHeader()
		if err != nil {
			return 0, noEOF(err)
		}
		switch t {
		case FrameOut:
			c.left = n
		case FrameOutEOF:
			c.eof = true
		case FrameError:
			b, err := io.ReadAll(c.frames)
			if err != nil {
				return 0, err
			}
			return 0, DecodeError(b)
		default:
			return 0, protocolError("unexpected frame of type %d", t)
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.frames.Read(p)
	c.left -= n
	return n, err
}

// Write writes to the connection. After a write that failed for a timeout the
// connection is of no more use.
func (c *Conn) Write(p []byte) (int, error) { return c.w.Stream(FrameIn).Write(p) }

// CloseWrite tells the guest's side that nothing more follows.
func (c *Conn) CloseWrite() error { return c.w.Write(FrameInEOF, nil) }

// Close closes the connection.
func (c *Conn) Close() error {
	var err error
	c.closed.Do(func() {
		err = c.conn.Close()
		_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // a reader must not wait for the guest
	})
	return err
}

// LocalAddr returns the host's end, which has no address of its own.
func (c *Conn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// RemoteAddr returns the address in the guest.
func (c *Conn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: c.port} }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error { return c.conn.SetDeadline(t) }

// SetReadDeadline sets when a read fails.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }

// SetWriteDeadline sets when a write fails.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }
