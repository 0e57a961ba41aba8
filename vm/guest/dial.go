package guest

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/relay"
	"github.com/nixspace/nixspace/vm/wire"
)

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
	relay.Join(conn, wire.NewFrameReader(conn), tcp, tcp)
	return nil
}
