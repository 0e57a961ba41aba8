package wire

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// CloseTerminalRequest is the request of [ServiceHangUp].
type CloseTerminalRequest struct {
	Name string `json:"name"`
}

// AttachTerminal attaches a viewer to a terminal in the guest. The attachment
// outlives ctx.
func (c *Client) AttachTerminal(ctx context.Context, r nixspace.TerminalRequest) (nixspace.Terminal, error) {
	var at nixspace.TerminalAttached
	conn, err := c.start(ctx, ServiceTerminal, r, &at)
	if err != nil {
		return nil, err
	}
	if at.From < 0 || at.Taken < 0 {
		_ = conn.Close()
		return nil, protocolError("a terminal begins before its beginning")
	}
	return &terminal{
		conn: conn, w: NewFrameWriter(conn), frames: NewFrameReader(conn),
		at: at, offset: at.From, taken: at.Taken, credit: newCredit(InWindow),
	}, nil
}

// CloseTerminal ends what runs on a terminal.
func (c *Client) CloseTerminal(ctx context.Context, name string) error {
	return c.call(ctx, ServiceHangUp, CloseTerminalRequest{Name: name}, nil)
}

// terminal is the host's end of a stream of [ServiceTerminal].
type terminal struct {
	conn   closer
	w      *FrameWriter
	at     nixspace.TerminalAttached
	credit *credit
	typing sync.Mutex // held for one write

	// What follows is of the one who waits for events.
	frames *FrameReader
	offset int64 // of the next output
	taken  int64
}

type closer interface {
	Close() error
	SetDeadline(t time.Time) error
}

func (t *terminal) Attached() nixspace.TerminalAttached { return t.at }

func (t *terminal) Next() (nixspace.TerminalEvent, error) {
	e, err := t.next()
	if err != nil {
		t.credit.close()
		return e, known(err)
	}
	if e.Kind == nixspace.TerminalEnded {
		t.credit.close()
		_ = t.conn.Close()
	}
	return e, nil
}

func (t *terminal) next() (nixspace.TerminalEvent, error) {
	kind, b, err := t.frames.Next()
	if err != nil {
		return nixspace.TerminalEvent{}, noEOF(err)
	}
	switch kind {
	case FrameOut:
		e := nixspace.TerminalEvent{Kind: nixspace.TerminalOutput, Offset: t.offset, Data: b}
		t.offset += int64(len(b))
		return e, nil
	case FrameSkip:
		at, err := DecodeOffset(b)
		if err == nil && at < t.offset {
			err = protocolError("a terminal goes back from %d to %d", t.offset, at)
		}
		if err != nil {
			return nixspace.TerminalEvent{}, err
		}
		t.offset = at
		return nixspace.TerminalEvent{Kind: nixspace.TerminalSkipped, Offset: at}, nil
	case FrameCredit:
		n, err := DecodeCredit(b)
		if err != nil {
			return nixspace.TerminalEvent{}, err
		}
		t.credit.add(n)
		t.taken += int64(n)
		return nixspace.TerminalEvent{Kind: nixspace.TerminalTaken, Offset: t.taken}, nil
	case FrameStatus:
		e := nixspace.TerminalEvent{Kind: nixspace.TerminalChanged}
		if err := json.Unmarshal(b, &e.Status); err != nil {
			return e, protocolError("the state of a terminal cannot be read: %w", err)
		}
		e.Status = boundedTerminal(e.Status)
		return e, nil
	case FrameExit:
		code, err := DecodeExit(b)
		return nixspace.TerminalEvent{Kind: nixspace.TerminalEnded, Code: code}, err
	case FrameError:
		return nixspace.TerminalEvent{}, DecodeError(b)
	}
	return nixspace.TerminalEvent{}, protocolError("unexpected frame of type %d", kind)
}

func (t *terminal) Write(b []byte) (int, error) {
	t.typing.Lock()
	defer t.typing.Unlock()
	sent := 0
	for sent < len(b) {
		n := t.credit.take(min(len(b)-sent, MaxFrame))
		if n == 0 {
			return sent, nixspace.Errorf(nixspace.KindConflict, "terminal_gone", "the terminal takes no more input")
		}
		if err := t.w.Write(FrameIn, b[sent:sent+n]); err != nil {
			return sent, lost(err)
		}
		sent += n
	}
	return sent, nil
}

func (t *terminal) Resize(cols, rows uint16) error {
	if err := t.w.WriteResize(cols, rows); err != nil {
		return lost(err)
	}
	return nil
}

func (t *terminal) Ack(offset int64) error {
	if err := t.w.WriteOffset(FrameAck, offset); err != nil {
		return lost(err)
	}
	return nil
}

func (t *terminal) Close() error {
	err := t.conn.Close()
	_ = t.conn.SetDeadline(time.Unix(1, 0)) // who waits must not wait for the guest
	t.credit.close()
	return err
}
