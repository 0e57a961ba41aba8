package client

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
)

// The frames of terminals that last: docs/api.md describes them.
const (
	frameAck   = 8
	frameSkip  = 9
	frameTaken = 11

	inputWindow = 256 << 10 // bytes of input that may be on their way
	inputKept   = 1 << 20   // bytes of input that wait while there is no connection
)

// clearScreen brings a screen into the state in which a replay begins.
const clearScreen = "\x1b[!p\x1b[0m\x1b[2J\x1b[3J\x1b[H"

// ErrDetached ends a [Terminal] that was left while it goes on.
var ErrDetached = errors.New("detached")

// Terminal is a viewer at a terminal of a session. When its connection breaks, it
// connects again and goes on at the byte where it was, in both directions. Its
// methods are safe for concurrent use.
type Terminal struct {
	session string
	request nixspace.TerminalRequest
	connect func() (*Client, error)
	notice  func(string)

	mu       sync.Mutex
	cond     sync.Cond
	conn     *websocket.Conn // nil while there is none
	typed    []byte          // input that the terminal does not have yet, as far as is known
	taken    int64           // the offset of its first byte
	sent     int64
	detached bool
	gone     bool // Run has returned
	stop     context.CancelFunc
}

// NewTerminal returns a viewer at a terminal; [Terminal.Run] attaches it. connect
// returns a client for each new connection: a server that was restarted has another
// token. notice is told what a person should know.
func NewTerminal(session string, r nixspace.TerminalRequest, connect func() (*Client, error), notice func(string)) *Terminal {
	r.Viewer = fmt.Sprintf("console-%016x%016x", rand.Uint64(), rand.Uint64())
	t := &Terminal{session: session, request: r, connect: connect, notice: notice}
	t.cond.L = &t.mu
	return t
}

// Run attaches, and writes output to out until the program on the terminal ends,
// whose exit code it returns. It fails with [ErrDetached] after Detach.
func (t *Terminal) Run(ctx context.Context, out io.Writer) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.mu.Lock()
	t.stop = cancel
	detached := t.detached
	t.mu.Unlock()
	if detached {
		return 0, ErrDetached
	}
	var pump sync.WaitGroup
	defer pump.Wait()
	defer func() {
		t.mu.Lock()
		t.gone = true
		t.cond.Broadcast()
		t.mu.Unlock()
	}()
	pump.Go(func() { t.pump(ctx) })
	first, wake := true, true
	for tries := 0; ; tries++ {
		attached, code, err := t.once(ctx, out, first, wake)
		if err == nil {
			return code, nil
		}
		if t.wasDetached() {
			return 0, ErrDetached
		}
		if ctx.Err() != nil || first && !attached || !passing(err) {
			return 0, err
		}
		if attached {
			first, tries = false, 0
			t.notice("the connection broke; connecting again")
		}
		if wake = nixspace.ErrorCode(err) == "session_asleep"; wake {
			t.notice("the session sleeps; press a key to wake it")
			if !t.awaitInput() {
				return 0, ErrDetached
			}
			continue
		}
		pause := min(500*time.Millisecond<<min(tries, 5), 8*time.Second)
		timer := time.NewTimer(pause*3/4 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// passing reports whether it may be otherwise if it is tried again.
func passing(err error) bool {
	var e *nixspace.Error
	if !errors.As(err, &e) {
		return true
	}
	switch e.Kind {
	case nixspace.KindUnavailable, nixspace.KindCanceled, nixspace.KindUnauthorized: // a new token is on its way
		return true
	}
	return e.Code == "session_asleep" || e.Code == "session_not_running"
}

func (t *Terminal) wasDetached() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.detached
}

// awaitInput waits until something was typed, and returns false when nothing will be.
func (t *Terminal) awaitInput() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.typed) == 0 && !t.detached {
		t.cond.Wait()
	}
	return !t.detached
}

// Detach leaves the terminal, which goes on.
func (t *Terminal) Detach() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.detached = true
	if t.stop != nil {
		t.stop()
	}
	t.cond.Broadcast()
}

// Write types. It waits while there is much that the terminal has not taken.
func (t *Terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.typed)+len(b) > inputKept && !t.detached && !t.gone {
		t.cond.Wait()
	}
	if t.detached || t.gone {
		return 0, ErrDetached
	}
	t.typed = append(t.typed, b...)
	t.cond.Broadcast()
	return len(b), nil
}

// Resize says how large the viewer's screen is.
func (t *Terminal) Resize(cols, rows uint16) {
	t.mu.Lock()
	t.request.Cols, t.request.Rows = cols, rows
	conn := t.conn
	t.mu.Unlock()
	if conn == nil {
		return
	}
	b := binary.BigEndian.AppendUint16([]byte{frameResize}, cols)
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	_ = conn.Write(ctx, websocket.MessageBinary, binary.BigEndian.AppendUint16(b, rows)) // the next connection says it too
}

// pump sends input as far as it may be on its way.
func (t *Terminal) pump(ctx context.Context) {
	for {
		t.mu.Lock()
		for !t.gone && (t.conn == nil || t.sent >= t.taken+int64(len(t.typed)) || t.sent-t.taken >= inputWindow) {
			t.cond.Wait()
		}
		if t.gone {
			t.mu.Unlock()
			return
		}
		conn, at := t.conn, t.sent-t.taken
		n := min(int64(len(t.typed))-at, inputWindow-at, frameMax/2)
		b := append([]byte{frameStdin}, t.typed[at:at+n]...)
		t.sent += n
		t.mu.Unlock()
		if conn.Write(ctx, websocket.MessageBinary, b) != nil {
			t.mu.Lock()
			if t.conn == conn {
				t.conn = nil
			}
			t.mu.Unlock()
		}
	}
}

// once is one connection, to its end.
func (t *Terminal) once(ctx context.Context, out io.Writer, first, wake bool) (attached bool, code int, err error) {
	c, err := t.connect()
	if err != nil {
		return false, 0, err
	}
	defer c.Close()
	path := "/api/v1/sessions/" + url.PathEscape(t.session) + "/shell"
	if !wake {
		path += "?wake=0"
	}
	conn, err := c.dial(ctx, path, execProtocol, 1<<20)
	if err != nil {
		return false, 0, err
	}
	defer conn.CloseNow()
	at, err := t.hello(ctx, c, conn)
	if err != nil {
		return false, 0, err
	}
	if at.Reset && !at.Created {
		if _, err := io.WriteString(out, clearScreen+at.Prelude); err != nil {
			return true, 0, fmt.Errorf("write output: %w", err)
		}
	}
	t.begin(conn, at)
	defer func() {
		t.mu.Lock()
		t.conn = nil
		t.mu.Unlock()
	}()
	code, err = t.receive(ctx, c, conn, out)
	return true, code, err
}

func (t *Terminal) hello(ctx context.Context, c *Client, conn *websocket.Conn) (nixspace.TerminalAttached, error) {
	t.mu.Lock()
	r := t.request
	t.mu.Unlock()
	type order struct {
		nixspace.Command
		Terminal nixspace.TerminalRequest `json:"terminal"`
	}
	o := order{Command: r.Command, Terminal: r}
	o.Cols, o.Rows = r.Cols, r.Rows
	o.Terminal.Command = nixspace.Command{}
	b, err := json.Marshal(o)
	if err != nil {
		return nixspace.TerminalAttached{}, fmt.Errorf("encode a command: %w", err)
	}
	if err := conn.Write(ctx, websocket.MessageText, b); err != nil {
		return nixspace.TerminalAttached{}, c.broken(ctx, err)
	}
	typ, b, err := conn.Read(ctx)
	if err != nil {
		return nixspace.TerminalAttached{}, c.broken(ctx, err)
	}
	if typ == websocket.MessageBinary && len(b) > 0 && b[0] == frameError {
		return nixspace.TerminalAttached{}, readError(b[1:])
	}
	var answer struct {
		Terminal *nixspace.TerminalAttached `json:"terminal"`
	}
	if err := json.Unmarshal(b, &answer); err != nil || answer.Terminal == nil {
		return nixspace.TerminalAttached{}, nixspace.Errorf(nixspace.KindInvalid, "server_strange", "the server has no terminals that last").
			WithHint("is the server as new as this program?")
	}
	return *answer.Terminal, nil
}

// begin takes up where the terminal is.
func (t *Terminal) begin(conn *websocket.Conn, at nixspace.TerminalAttached) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case at.ID == t.request.ID:
		t.forget(at.Taken)
	case t.request.ID != "":
		t.typed, t.taken = nil, at.Taken // it was meant for another
	default:
		t.taken = at.Taken
	}
	t.request.ID, t.request.From = at.ID, at.From
	t.sent, t.conn = at.Taken, conn
	t.cond.Broadcast()
}

// forget drops input before an offset. The lock must be held.
func (t *Terminal) forget(offset int64) {
	n := min(max(offset-t.taken, 0), int64(len(t.typed)))
	t.typed, t.taken = t.typed[n:], t.taken+n
	t.cond.Broadcast()
}

func (t *Terminal) receive(ctx context.Context, c *Client, conn *websocket.Conn, out io.Writer) (int, error) {
	for {
		typ, b, err := conn.Read(ctx)
		if err != nil {
			return 0, c.broken(ctx, err)
		}
		if typ != websocket.MessageBinary || len(b) == 0 {
			continue // nothing that this version knows
		}
		payload := b[1:]
		switch b[0] {
		case frameStdout:
			if _, err := out.Write(payload); err != nil {
				return 0, fmt.Errorf("write output: %w", err)
			}
			t.request.From += int64(len(payload)) // only this goroutine uses it
			ack := binary.BigEndian.AppendUint64([]byte{frameAck}, uint64(t.request.From))
			if err := conn.Write(ctx, websocket.MessageBinary, ack); err != nil {
				return 0, c.broken(ctx, err)
			}
		case frameSkip, frameTaken:
			if len(payload) != 8 {
				return 0, errors.New("the server sent a broken offset")
			}
			offset := int64(binary.BigEndian.Uint64(payload))
			if b[0] == frameSkip {
				t.request.From = offset
				if _, err := io.WriteString(out, clearScreen); err != nil {
					return 0, fmt.Errorf("write output: %w", err)
				}
				continue
			}
			t.mu.Lock()
			t.forget(offset)
			t.mu.Unlock()
		default:
			code, done, err := readFrame(b, io.Discard, io.Discard)
			if err != nil {
				return 0, err
			}
			if done {
				_ = conn.Close(websocket.StatusNormalClosure, "")
				return code, nil
			}
		}
	}
}
