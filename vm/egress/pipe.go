package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nixspace/nixspace/vm/wire"
)

// pipe copies both ways until both have ended, one fails, nothing was said for too
// long, or ctx ends.
func (g *Gateway) pipe(ctx context.Context, key string, guest *wire.Egress, remote net.Conn) {
	p := &piping{}
	end := func() {
		p.over.Store(true)
		past := time.Unix(1, 0)
		_ = guest.SetDeadline(past)
		_ = remote.SetDeadline(past)
	}
	defer context.AfterFunc(ctx, end)()
	p.said()
	var both sync.WaitGroup
	both.Go(func() {
		err := p.copy(remote, guest, func(n int) { g.sent(key, n) })
		if err != nil {
			end()
			return
		}
		if w, ok := remote.(interface{ CloseWrite() error }); ok {
			_ = w.CloseWrite()
		}
	})
	both.Go(func() {
		if err := p.copy(guest, remote, func(n int) { g.received(key, n) }); err != nil {
			end()
			return
		}
		_ = guest.CloseWrite()
	})
	both.Wait()
}

// piping is what the two directions of a connection have in common.
type piping struct {
	over atomic.Bool  // everything ends
	last atomic.Int64 // when a byte was last copied, in nanoseconds
}

func (p *piping) said() { p.last.Store(time.Now().UnixNano()) }

// idle returns how much longer nothing may be said.
func (p *piping) idle() time.Duration {
	return idleTime - time.Since(time.Unix(0, p.last.Load()))
}

// copy copies up to an end of from, which is no error.
func (p *piping) copy(to, from net.Conn, count func(int)) error {
	buf := make([]byte, 32<<10)
	for {
		if err := p.deadline(from.SetReadDeadline); err != nil {
			return err
		}
		n, err := from.Read(buf)
		if n > 0 {
			p.said()
			if err := p.deadline(to.SetWriteDeadline); err != nil {
				return err
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
			p.said()
			count(n)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) && !p.over.Load() && p.idle() > 0:
			// The other direction was busy meanwhile.
		default:
			return err
		}
	}
}

// deadline bounds the next step by the time that nothing may be said.
func (p *piping) deadline(set func(time.Time) error) error {
	left := p.idle()
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	if err := set(time.Now().Add(left)); err != nil {
		return err
	}
	if p.over.Load() { // the deadline that ended everything may just have been set anew
		return os.ErrDeadlineExceeded
	}
	return nil
}
