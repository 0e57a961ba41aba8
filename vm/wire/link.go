package wire

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/nixspace/nixspace"
)

// muxConfig is how both sides multiplex. A paused machine answers nothing for as
// long as it is paused, so nothing may give up: no keep-alive, no time-outs.
func muxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive = false
	c.ConnectionWriteTimeout = 24 * time.Hour
	c.StreamOpenTimeout = 0
	c.StreamCloseTimeout = time.Minute
	c.MaxStreamWindowSize = 1 << 20
	c.LogOutput = io.Discard
	return c
}

// Link is the host's end of the two ports of one machine. It opens streams. Its
// methods are safe for concurrent use.
type Link struct {
	ctl, data net.Conn

	resetting sync.Mutex // held during a reset
	mu        sync.Mutex
	mux       *yamux.Session
	closed    bool
}

// NewLink returns a link over connections to a machine's control and data ports,
// which it owns. [Link.Reset] must succeed before the first Open.
func NewLink(ctl, data net.Conn) *Link { return &Link{ctl: ctl, data: data} }

// Open opens a new stream to the agent.
func (l *Link) Open(ctx context.Context) (net.Conn, error) {
	l.mu.Lock()
	mux := l.mux
	l.mu.Unlock()
	if mux == nil {
		return nil, unavailable("machine_not_connected", "the machine's agent is not connected")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Opening waits when many streams were opened that the agent has not
	// accepted; a stream that comes after ctx has ended is closed again.
	type opened struct {
		conn *yamux.Stream
		err  error
	}
	ch := make(chan opened, 1)
	go func() {
		conn, err := mux.OpenStream()
		ch <- opened{conn, err}
	}()
	select {
	case o := <-ch:
		if o.err != nil {
			return nil, lost(o.err)
		}
		return o.conn, nil
	case <-ctx.Done():
		go func() {
			if o := <-ch; o.err == nil {
				_ = o.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// Done is closed when the present session ends: by a reset, by Close or because
// the machine went away. It is nil before the first reset.
func (l *Link) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mux == nil {
		return nil
	}
	return l.mux.CloseChan()
}

// Reset makes the agent forget all streams and begins a new session. It waits
// for an agent that is not up yet, until ctx ends. It may be repeated, also after
// it failed.
func (l *Link) Reset(ctx context.Context) error {
	l.resetting.Lock()
	defer l.resetting.Unlock()

	l.mu.Lock()
	old, closed := l.mux, l.closed
	l.mux = nil
	l.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
	if closed {
		return unavailable("machine_lost", "the connection to the machine is closed")
	}
	for _, c := range []net.Conn{l.ctl, l.data} {
		if err := c.SetDeadline(time.Time{}); err != nil {
			return lost(err)
		}
	}
	stop := context.AfterFunc(ctx, func() { l.interrupt() })
	err := l.handshake()
	if !stop() {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	mux, err := yamux.Client(&muxPort{Conn: l.data}, muxConfig())
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = mux.Close()
		return unavailable("machine_lost", "the connection to the machine is closed")
	}
	l.mux = mux
	go refuse(mux)
	return nil
}

// refuse ends the session when the guest opens a stream: it has no business to,
// and unread streams would hold the host's memory.
func refuse(mux *yamux.Session) {
	if _, err := mux.Accept(); err == nil {
		_ = mux.Close()
	}
}

func (l *Link) handshake() error {
	var b [8]byte
	_, _ = rand.Read(b[:])
	nonce := hex.EncodeToString(b[:])
	if err := WriteLine(l.ctl, Line{VerbReset, nonce}); err != nil {
		return lost(err)
	}
	if err := WriteLine(l.ctl, Line{VerbHello, strconv.Itoa(Version)}); err != nil {
		return lost(err)
	}
	// The data port must be read meanwhile: it may be full of what the guest sent
	// before, and the guest could not write its marker.
	marked := make(chan error, 1)
	go func() {
		err := skipTo(l.data, Marker(nonce))
		if err != nil {
			l.interrupt()
		}
		marked <- err
	}()
	err := l.await(nonce)
	if err != nil {
		l.interrupt()
	}
	if merr := <-marked; err == nil {
		err = merr
	}
	return err
}

// await reads the control port until the agent has answered to both lines. What
// is left from before is skipped, so an answer counts only after the right OK.
func (l *Link) await(nonce string) error {
	var scan LineScanner
	buf := make([]byte, MaxLine)
	reset := false
	for {
		n, err := l.ctl.Read(buf)
		for _, line := range scan.Feed(buf[:n]) {
			switch {
			case line.Verb == VerbOK && line.Arg == nonce:
				reset = true
			case line.Verb == VerbReady && reset:
				if v := line.Number(); v != Version {
					return nixspace.Errorf(nixspace.KindUnavailable, "version_unsupported",
						"the machine's agent speaks version %d of the guest protocol, this host version %d", v, Version).
						WithHint("start the machine again, so that it gets this version's agent")
				}
				return nil
			case line.Verb == VerbError && strings.HasPrefix(line.Arg, nonce):
				return nixspace.Errorf(nixspace.KindUnavailable, "machine_not_connected", "the machine's agent cannot begin anew: %s", line.Arg)
			}
		}
		if err != nil {
			return lost(err)
		}
	}
}

// skipTo reads up to and with marker, and not a byte more.
func skipTo(r io.Reader, marker string) error {
	// The first byte of a marker is in no other place of it, so after a mismatch
	// only the byte at hand can begin a new match.
	buf := make([]byte, len(marker))
	for matched := 0; matched < len(marker); {
		n, err := r.Read(buf[:len(marker)-matched])
		for _, c := range buf[:n] {
			switch c {
			case marker[matched]:
				matched++
			case marker[0]:
				matched = 1
			default:
				matched = 0
			}
		}
		if err != nil && matched < len(marker) {
			return lost(err)
		}
	}
	return nil
}

// interrupt makes reads and writes on both ports fail now.
func (l *Link) interrupt() {
	past := time.Unix(1, 0)
	_ = l.ctl.SetDeadline(past)
	_ = l.data.SetDeadline(past)
}

// Close ends the session and closes both ports.
func (l *Link) Close() error {
	l.mu.Lock()
	mux := l.mux
	l.mux, l.closed = nil, true
	l.mu.Unlock()
	l.interrupt()
	if mux != nil {
		_ = mux.Close()
	}
	return errors.Join(l.ctl.Close(), l.data.Close())
}

// muxPort lets a session end without closing the port under it, which cannot be
// opened again.
type muxPort struct{ net.Conn }

func (p *muxPort) Close() error { return p.SetDeadline(time.Unix(1, 0)) }

func unavailable(code, message string) error {
	return &nixspace.Error{Kind: nixspace.KindUnavailable, Code: code, Message: message}
}

// lost says that the machine or the way to it went away.
func lost(err error) error {
	return &nixspace.Error{
		Kind: nixspace.KindUnavailable, Code: "machine_lost",
		Message: "the connection to the machine was lost", Err: err,
	}
}
