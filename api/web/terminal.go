package web

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
)

const (
	// typedMax is how much input of a client may wait for its terminal: what a
	// client may have on its way without [FrameTaken], twice.
	typedMax = 512 << 10

	pingEvery = 20 * time.Second
	pongAfter = time.Minute // then the client is gone
)

// terminal joins a socket with a terminal that outlives it. It is a pass-through:
// offsets and flow control are between the client and the machine.
func (h *Handler) terminal(ctx context.Context, conn *websocket.Conn, m nixspace.Machine, c order) error {
	host, ok := m.(nixspace.Terminals)
	if !ok {
		return nixspace.Errorf(nixspace.KindUnavailable, "machine_lacks", "this machine has no terminals that last")
	}
	r := *c.Terminal
	r.Cols, r.Rows, r.Who = c.Cols, c.Rows, ""
	if actor, err := nixspace.ActorFrom(ctx); err == nil {
		r.Who = actor.Name
	}
	t, err := withShell(c.Command, func(command nixspace.Command) (nixspace.Terminal, error) {
		r.Command = command
		return host.AttachTerminal(ctx, r)
	})
	if err != nil {
		return err
	}
	defer t.Close()
	hello, err := json.Marshal(struct {
		OK       bool                      `json:"ok"`
		Terminal nixspace.TerminalAttached `json:"terminal"`
	}{true, t.Attached()})
	if err != nil {
		return err
	}
	if err := conn.Write(ctx, websocket.MessageText, hello); err != nil {
		return errClientGone
	}

	ctx, cancel := context.WithCancelCause(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel(nil)
	defer t.Close() // before the wait: it ends whoever types
	typed := newTyped()
	helpers.Go(func() { typed.into(t) })
	helpers.Go(func() {
		defer typed.close()
		cancel(readTerminal(ctx, conn, t, typed))
		_ = t.Close()
	})
	helpers.Go(func() { keepAlive(ctx, cancel, conn) })
	for {
		e, err := t.Next()
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			return err
		}
		b, err := terminalFrame(e)
		if err != nil {
			return err
		}
		if err := conn.Write(ctx, websocket.MessageBinary, b); err != nil {
			return errClientGone
		}
		if e.Kind == nixspace.TerminalEnded {
			_ = conn.Close(websocket.StatusNormalClosure, "")
			return nil
		}
	}
}

// terminalFrame is an event as a message.
func terminalFrame(e nixspace.TerminalEvent) ([]byte, error) {
	switch e.Kind {
	case nixspace.TerminalOutput:
		return append(append(make([]byte, 0, 1+len(e.Data)), FrameStdout), e.Data...), nil
	case nixspace.TerminalSkipped:
		return binary.BigEndian.AppendUint64([]byte{FrameSkip}, uint64(e.Offset)), nil
	case nixspace.TerminalTaken:
		return binary.BigEndian.AppendUint64([]byte{FrameTaken}, uint64(e.Offset)), nil
	case nixspace.TerminalEnded:
		return binary.BigEndian.AppendUint32([]byte{FrameExit}, uint32(int32(e.Code))), nil
	case nixspace.TerminalChanged:
		b, err := json.Marshal(e.Status)
		return append([]byte{FrameStatus}, b...), err
	}
	return nil, nixspace.Errorf(nixspace.KindInternal, "event_unknown", "a terminal has an event of kind %d", e.Kind)
}

// readTerminal does what the client says, and returns why it ended.
func readTerminal(ctx context.Context, conn *websocket.Conn, t nixspace.Terminal, typed *typed) error {
	for {
		typ, b, err := conn.Read(ctx)
		if err != nil {
			return errClientGone
		}
		if typ != websocket.MessageBinary {
			return errFrame
		}
		if err := clientFrame(b, t, typed); err != nil {
			return err
		}
	}
}

// clientFrame does what one message says.
func clientFrame(b []byte, t nixspace.Terminal, typed *typed) error {
	if len(b) == 0 {
		return errFrame
	}
	payload := b[1:]
	switch b[0] {
	case FrameStdin:
		if !typed.add(payload) {
			return errFrame
		}
	case FrameResize:
		if len(payload) != 4 {
			return errFrame
		}
		return t.Resize(binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:]))
	case FrameAck:
		if len(payload) != 8 || payload[0] > 0x7f {
			return errFrame
		}
		return t.Ack(int64(binary.BigEndian.Uint64(payload)))
	default:
		return errFrame
	}
	return nil
}

// keepAlive finds out when a client has gone without a word.
func keepAlive(ctx context.Context, cancel context.CancelCauseFunc, conn *websocket.Conn) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		pong, done := context.WithTimeout(ctx, pongAfter)
		err := conn.Ping(pong)
		done()
		if err != nil {
			cancel(errClientGone)
			_ = conn.CloseNow()
			return
		}
	}
}

// typed is input on its way to a terminal. The programs on it may not read, and
// what else the client says must be heard meanwhile.
type typed struct {
	mu     sync.Mutex
	cond   sync.Cond
	buf    []byte
	closed bool
}

func newTyped() *typed {
	t := &typed{}
	t.cond.L = &t.mu
	return t
}

// add takes input, and returns false when there is too much of it.
func (t *typed) add(b []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.buf)+len(b) > typedMax {
		return false
	}
	t.buf = append(t.buf, b...)
	t.cond.Signal()
	return true
}

func (t *typed) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.cond.Signal()
}

// into types what comes until the terminal or the client is gone.
func (t *typed) into(term nixspace.Terminal) {
	for {
		t.mu.Lock()
		for len(t.buf) == 0 && !t.closed {
			t.cond.Wait()
		}
		b := t.buf
		t.buf = nil
		t.mu.Unlock()
		if len(b) == 0 {
			return
		}
		if _, err := term.Write(b); err != nil {
			return
		}
	}
}
