package guest

import (
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/relay"
	"github.com/nixspace/nixspace/vm/wire"
)

const (
	replayMax = 512 << 10 // bytes of old output that a new viewer gets
	skipTo    = 32 << 10  // how far behind one goes on that was too slow
	pieceMax  = 32 << 10  // bytes of output in one frame

	farewell = 10 * time.Second // for the host to close a stream that is over
)

// view is a viewer's attachment to a terminal, over one stream.
type view struct {
	t        *pty
	viewer   *viewer
	conn     net.Conn
	w        *wire.FrameWriter
	key      int
	who      string
	readOnly bool
	done     chan struct{} // closed when it is no longer attached

	// What follows is under the terminal's lock.
	cols, rows uint16
	next       int64 // offset of the output that it gets next
	acked      int64
	stalled    bool // nobody waits for it
	credit     int  // bytes of its input that the program got and it was not told of
}

// terminal attaches the stream to a terminal.
func (a *Agent) terminal(conn net.Conn, r nixspace.TerminalRequest) error {
	t, created, err := a.ptys.get(r)
	if err != nil {
		return err
	}
	v, at := t.attach(conn, r)
	at.Created = created
	defer t.detach(v)
	if err := wire.Reply(conn, at); err != nil {
		return nil
	}
	gone := make(chan struct{})
	var receiver sync.WaitGroup
	receiver.Go(func() {
		defer close(gone)
		v.receive()
	})
	v.send(gone)
	relay.Cut(conn)
	receiver.Wait()
	return nil
}

// attach adds a viewer. What is left of its last attachment ends first, so that
// all of its input is counted that will ever arrive.
func (t *pty) attach(conn net.Conn, r nixspace.TerminalRequest) (*view, nixspace.TerminalAttached) {
	v := &view{
		t: t, conn: conn, w: wire.NewFrameWriter(conn), who: nixspace.OneLine(r.Who, 64), readOnly: r.ReadOnly,
		cols: r.Cols, rows: r.Rows, done: make(chan struct{}),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		known := t.viewers[r.Viewer]
		if known == nil {
			known = &viewer{}
			t.remember(r.Viewer, known)
		}
		if known.view == nil {
			v.viewer, known.view, known.seen = known, v, time.Now()
			break
		}
		old := known.view
		t.mu.Unlock()
		relay.Cut(old.conn)
		<-old.done
		t.mu.Lock()
	}
	at := nixspace.TerminalAttached{ID: t.id, From: r.From, Taken: v.viewer.taken}
	if r.ID != t.id || r.From < t.ring.Start() || r.From > t.ring.End() {
		at.From, at.Prelude = t.ring.Replay(replayMax)
		at.Reset = true
	}
	v.next, v.acked = at.From, at.From
	t.keys++
	v.key, at.Key = t.keys, t.keys
	t.views = append(t.views, v)
	t.resized()
	t.statusChanged()
	return v, at
}

// remember keeps a viewer, and forgets the one that was seen least lately when
// there are too many. The lock must be held.
func (t *pty) remember(name string, v *viewer) {
	if len(t.viewers) >= viewersKept {
		oldest := ""
		for n, w := range t.viewers {
			if w.view == nil && (oldest == "" || w.seen.Before(t.viewers[oldest].seen)) {
				oldest = n
			}
		}
		delete(t.viewers, oldest)
	}
	v.seen = time.Now()
	t.viewers[name] = v
}

func (t *pty) detach(v *view) {
	t.mu.Lock()
	t.views = slices.DeleteFunc(t.views, func(o *view) bool { return o == v })
	v.viewer.view, v.viewer.seen = nil, time.Now()
	t.resized()
	t.statusChanged()
	t.mu.Unlock()
	close(v.done)
}

// send sends output and news until the terminal has ended or the stream has.
func (v *view) send(gone <-chan struct{}) {
	version := -1
	for {
		t := v.t
		t.mu.Lock()
		changed := t.changed
		var piece []byte
		skipped := v.next < t.ring.Start()
		if skipped {
			v.next, _ = t.ring.Replay(skipTo)
			v.acked = v.next
		}
		at := v.next
		if n := min(pieceMax, viewerWindow-int(v.next-v.acked)); n > 0 {
			piece = t.ring.From(v.next, n)
			v.next += int64(len(piece))
		}
		news := t.version != version
		version = t.version
		credit := v.credit
		v.credit = 0
		over := t.ended && v.next == t.ring.End()
		code := t.code
		t.mu.Unlock()

		if skipped && v.w.WriteOffset(wire.FrameSkip, at) != nil {
			return
		}
		if skipped {
			redraw(t.io.out)
		}
		if news && v.w.WriteJSON(wire.FrameStatus, t.status()) != nil {
			return
		}
		for ; credit > 0; credit -= wire.InWindow {
			if v.w.WriteCredit(min(credit, wire.InWindow)) != nil {
				return
			}
		}
		if len(piece) > 0 {
			if v.w.Write(wire.FrameOut, piece) != nil {
				return
			}
			if !over {
				continue
			}
		}
		if over {
			if v.w.WriteExit(code) == nil {
				// The host closes the stream. To close it here, with something of the
				// viewer's in it still, would lose the exit code on a socket.
				select {
				case <-gone:
				case <-time.After(farewell):
				}
			}
			return
		}
		select {
		case <-changed:
		case <-gone:
			return
		}
	}
}

// receive takes what the viewer says until the stream ends.
func (v *view) receive() {
	frames := wire.NewFrameReader(v.conn)
	for {
		kind, b, err := frames.Next()
		if err != nil {
			return
		}
		switch kind {
		case wire.FrameIn:
			if !v.typed(b) {
				return
			}
		case wire.FrameResize:
			cols, rows, err := wire.DecodeResize(b)
			if err != nil {
				return
			}
			v.resize(cols, rows)
		case wire.FrameAck:
			offset, err := wire.DecodeOffset(b)
			if err != nil || !v.ack(offset) {
				return
			}
		case wire.FrameSignal:
			sig := signalNumber(string(b))
			if v.readOnly || sig == 0 {
				return
			}
			if group, err := foreground(v.t.io.out); err == nil && group > 1 {
				_ = unix.Kill(-group, sig)
			}
		default:
			return
		}
	}
}

// typed takes input, and returns false when the viewer may not give it.
func (v *view) typed(b []byte) bool {
	t := v.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if v.readOnly || t.length+len(b) > inputMax {
		return false
	}
	v.viewer.taken += int64(len(b))
	if t.ended {
		return true // there is nobody left to read it
	}
	t.queue = append(t.queue, input{v, slices.Clone(b)})
	t.length += len(b)
	t.queued.Signal()
	return true
}

func (v *view) resize(cols, rows uint16) {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	if v.cols == cols && v.rows == rows {
		return
	}
	v.cols, v.rows = cols, rows
	v.t.resized()
	v.t.statusChanged()
}

// ack takes an acknowledgement. It returns false when it is for something that
// was never sent.
func (v *view) ack(offset int64) bool {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	if offset > v.next {
		return false
	}
	if offset > v.acked {
		v.acked, v.stalled = offset, false
		v.t.wake()
	}
	return true
}
