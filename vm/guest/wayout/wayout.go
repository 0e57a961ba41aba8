// Package wayout is a guest's only way to the network: a proxy whose connections the
// host makes, or refuses.
package wayout

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/relay"
	"github.com/nixspace/nixspace/vm/wire"
)

// The limits of the way out. They keep a program from holding all of the guest's
// memory; what it may reach is the host's to decide.
const (
	exitConnections = 128              // at a time
	exitHeadTime    = 30 * time.Second // for a program to say what it wants
	exitQueueTime   = 30 * time.Second // for the host to take it
	exitDialTime    = 90 * time.Second // for the host to connect
)

// Proxy is a proxy on the loopback interface, for HTTP and SOCKS 5. The guest has no
// other way out: each connection goes through a stream that the host keeps open for
// the next one. Its methods are safe for concurrent use.
type Proxy struct {
	log *slog.Logger

	mu       sync.Mutex
	listener net.Listener
	port     int
	end      context.CancelFunc // ends what the listener accepted
	serving  sync.WaitGroup

	waiting chan *wanted // what programs want and no stream has taken yet
	slots   chan struct{}
	turned  chan struct{} // held by what is refused for want of slots
}

// wanted is a connection out that a program asked for.
type wanted struct {
	wire.EgressRequest
	tcp *net.TCPConn
	// said is what the program sends, from what is to be sent on first.
	said io.Reader
	// begin tells the program that it is connected, fail that it is not.
	begin func() error
	fail  func(error)
	// taken has one value for each time that it was taken: whether it was served.
	taken chan bool
}

// New returns a proxy that does not listen yet.
func New(log *slog.Logger) *Proxy { return &Proxy{log: log} }

// Listen opens the way out on a port; 0 closes it. It may be called again, and fails
// with code "proxy_failed".
func (w *Proxy) Listen(port int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.port == port {
		return nil
	}
	w.hangUp()
	if port == 0 {
		return nil
	}
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nixspace.Errorf(nixspace.KindUnavailable, "proxy_failed", "the way out of the machine cannot be opened: %w", err)
	}
	if w.waiting == nil {
		w.waiting = make(chan *wanted)
		w.slots, w.turned = make(chan struct{}, exitConnections), make(chan struct{}, exitConnections)
	}
	w.listener, w.port = l, port
	ctx, end := context.WithCancel(context.Background())
	w.end = end
	w.serving.Go(func() { w.accept(ctx, l) })
	return nil
}

// hangUp is called with the lock held.
func (w *Proxy) hangUp() {
	if w.listener != nil {
		_ = w.listener.Close()
		w.end()
		w.listener, w.port = nil, 0
	}
}

// Close ends everything that goes out, and waits for it.
func (w *Proxy) Close() {
	w.mu.Lock()
	w.hangUp()
	w.mu.Unlock()
	w.serving.Wait()
}

func (w *Proxy) accept(ctx context.Context, l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			w.log.Warn("accept a connection out", "error", err)
			time.Sleep(100 * time.Millisecond) // too many open files
			continue
		}
		tcp := c.(*net.TCPConn)
		select {
		case w.slots <- struct{}{}:
		default:
			w.turnAway(ctx, tcp)
			continue
		}
		w.serving.Go(func() {
			defer func() { <-w.slots }()
			defer func() { _ = tcp.Close() }()
			defer context.AfterFunc(ctx, func() { _ = tcp.Close() })()
			defer func() {
				if r := recover(); r != nil { // a defect costs a connection, not the machine
					w.log.Error("panic in a connection out", "panic", r, "stack", string(debug.Stack()))
				}
			}()
			w.serve(ctx, tcp)
		})
	}
}

// turnAway tells a program that all connections are in use, as long as there are
// not too many of those either.
func (w *Proxy) turnAway(ctx context.Context, tcp *net.TCPConn) {
	select {
	case w.turned <- struct{}{}:
	default:
		_ = tcp.Close()
		return
	}
	w.serving.Go(func() {
		defer func() { <-w.turned }()
		defer func() { _ = tcp.Close() }()
		defer context.AfterFunc(ctx, func() { _ = tcp.Close() })()
		refuseHTTP(tcp, nixspace.Errorf(nixspace.KindLimit, "egress_busy", "this machine has %d connections out at a time, and all are in use", exitConnections))
	})
}

// serve serves one connection of a program.
func (w *Proxy) serve(ctx context.Context, tcp *net.TCPConn) {
	_ = tcp.SetDeadline(time.Now().Add(exitHeadTime))
	r := bufio.NewReaderSize(tcp, 4<<10)
	first, err := r.Peek(1)
	if err != nil {
		return
	}
	understand := httpWanted
	if first[0] == socksVersion {
		understand = socksWanted
	}
	want, err := understand(tcp, r)
	if err != nil {
		w.log.Info("a program asks for a connection out that cannot be understood", "error", err)
		return
	}
	_ = tcp.SetDeadline(time.Time{})
	want.tcp, want.taken = tcp, make(chan bool, 1)
	deadline := time.NewTimer(exitQueueTime)
	defer deadline.Stop()
	for {
		select {
		case w.waiting <- want:
		case <-deadline.C:
			want.fail(nixspace.Errorf(nixspace.KindUnavailable, "egress_unavailable", "the host does not take this connection"))
			return
		case <-ctx.Done():
			return
		}
		if <-want.taken {
			return
		}
	}
}

// Accept serves a stream on which the host takes one connection. It fails with code
// "egress_off" where the proxy never listened.
func (w *Proxy) Accept(ctx context.Context, conn net.Conn) error {
	w.mu.Lock()
	waiting := w.waiting
	w.mu.Unlock()
	if waiting == nil {
		return nixspace.Errorf(nixspace.KindConflict, "egress_off", "no way out of this machine is open")
	}
	var want *wanted
	select {
	case want = <-waiting:
	case <-ctx.Done():
		return nil
	}
	_ = conn.SetReadDeadline(time.Now().Add(exitDialTime))
	frames, err := wire.AskEgress(conn, want.EgressRequest)
	if nixspace.ErrorCode(err) == "machine_lost" {
		want.taken <- false // a stream that the host had given up: another will take it
		return nil
	}
	defer func() { want.taken <- true }()
	if err != nil {
		w.log.Info("no connection out", "host", want.Host, "port", want.Port, "error", err)
		want.fail(err)
		return nil
	}
	_ = conn.SetReadDeadline(time.Time{})
	if want.begin() == nil {
		relay.Join(conn, frames, want.tcp, want.said)
	}
	return nil
}
