package web

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
)

// ExecProtocol is the websocket subprotocol of the exec and shell sockets.
const ExecProtocol = "nixspace.exec.v1"

// The types of frames on an exec socket: the first byte of each binary message.
const (
	FrameStdin    = 0 // client → server: bytes
	FrameStdinEOF = 1 // client → server: empty
	FrameStdout   = 2 // server → client: bytes
	FrameStderr   = 3 // server → client: bytes
	FrameExit     = 4 // server → client: exit code, int32 big endian; the last frame
	FrameResize   = 5 // client → server: columns and rows, uint16 big endian each
	FrameSignal   = 6 // client → server: a name, "SIGINT"
	FrameError    = 7 // server → client: JSON; the last frame, instead of an exit

	// Of terminals that last only. Offsets are 64 bits, big endian.
	FrameAck    = 8  // client → server: the offset before which all output was shown
	FrameSkip   = 9  // server → client: the offset at which output goes on, on a cleared screen
	FrameStatus = 10 // server → client: JSON, who looks at the terminal and what size it has
	FrameTaken  = 11 // server → client: how many bytes of this viewer's input are on the terminal
)

const (
	frameMax    = 64 << 10 // bytes of payload
	stdinQueued = 8        // frames that wait for the process to read
)

// exec runs one command in a session.
func (h *Handler) exec(w http.ResponseWriter, r *http.Request) { h.run(w, r, false) }

// shell runs an interactive shell in a session, on a terminal.
func (h *Handler) shell(w http.ResponseWriter, r *http.Request) { h.run(w, r, true) }

func (h *Handler) run(w http.ResponseWriter, r *http.Request, shell bool) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	// Errors before the upgrade are plain HTTP errors, which pages cannot read: those
	// that ask not to wake a session get them as a frame.
	framed := shell && r.URL.Query().Get("wake") == "0"
	m, err := h.machine(ctx, r.PathValue("ref"), !framed)
	if err != nil && !framed {
		h.fail(w, r, err)
		return
	}
	conn := accept(w, r, ExecProtocol)
	if conn == nil {
		return
	}
	defer conn.CloseNow()
	if err != nil {
		h.endWithError(ctx, r, conn, err)
		return
	}
	conn.SetReadLimit(frameMax + 1)
	defer h.farewell(conn, cancel)()
	c, err := readCommand(ctx, conn, shell)
	if err == nil && c.Terminal != nil {
		err = h.terminal(ctx, conn, m, c)
	} else if err == nil {
		err = command(ctx, conn, m, c.Command, shell)
	}
	if err != nil {
		h.endWithError(ctx, r, conn, err)
	}
}

// machine returns the machine of a session. Without wake it fails for one that is
// hibernated.
func (h *Handler) machine(ctx context.Context, ref string, wake bool) (nixspace.Machine, error) {
	if !wake {
		s, err := h.cfg.App.Session(ctx, ref)
		if err != nil {
			return nil, err
		}
		if s.Status == nixspace.SessionHibernated {
			return nil, nixspace.Errorf(nixspace.KindConflict, "session_asleep", "session %s is hibernated", s.Ref()).
				WithHint("resume it, or connect without wake=0")
		}
	}
	return h.cfg.App.Machine(ctx, ref)
}

// command runs a command to its end.
func command(ctx context.Context, conn *websocket.Conn, m nixspace.Machine, c nixspace.Command, shell bool) error {
	p, err := startCommand(ctx, m, c, shell)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"ok":true}`)); err != nil {
		return errClientGone
	}
	return serveProcess(ctx, conn, p)
}

// endWithError tells the client why there will be no exit code.
func (h *Handler) endWithError(ctx context.Context, r *http.Request, conn *websocket.Conn, err error) {
	if ctx.Err() != nil || errors.Is(err, errClientGone) {
		return
	}
	b, _ := json.Marshal(h.problemOf(r, err)) // details are plain JSON values
	if conn.Write(ctx, websocket.MessageBinary, append([]byte{FrameError}, b...)) == nil {
		_ = conn.Close(websocket.StatusNormalClosure, "")
	}
}

// order is the first message of a client.
type order struct {
	nixspace.Command
	// Terminal asks for a terminal that outlives the socket. Its command is the
	// message's.
	Terminal *nixspace.TerminalRequest `json:"terminal"`
}

// readCommand reads the first message.
func readCommand(ctx context.Context, conn *websocket.Conn, shell bool) (order, error) {
	var c order
	typ, b, err := conn.Read(ctx)
	if err != nil {
		return c, errClientGone
	}
	if typ != websocket.MessageText || json.Unmarshal(b, &c) != nil {
		return c, nixspace.Errorf(nixspace.KindInvalid, "command_invalid", "the first message must be a command in JSON").
			WithHint(`for example {"argv":["psql","--version"]}`)
	}
	if !shell {
		c.Terminal = nil // as in versions that did not know it
		if len(c.Argv) == 0 || c.Argv[0] == "" {
			return c, nixspace.Errorf(nixspace.KindInvalid, "command_invalid", "the command is empty")
		}
	}
	return c, nil
}

// startCommand runs a command, or a shell where there is none.
func startCommand(ctx context.Context, m nixspace.Machine, c nixspace.Command, shell bool) (nixspace.Process, error) {
	if !shell {
		return m.Exec(ctx, c)
	}
	c.TTY = true
	return withShell(c, func(c nixspace.Command) (nixspace.Process, error) { return m.Exec(ctx, c) })
}

// withShell starts a command or, where it is empty, a shell: bash where there is
// one.
func withShell[T any](c nixspace.Command, start func(nixspace.Command) (T, error)) (T, error) {
	if len(c.Argv) > 0 {
		return start(c)
	}
	c.Argv = []string{"bash", "-l"}
	t, err := start(c)
	if nixspace.ErrorCode(err) == "command_not_found" {
		c.Argv = []string{"/bin/sh", "-l"}
		return start(c)
	}
	return t, err
}

// serveProcess joins a process and a socket until the process ended and its
// output is sent, or the client or the machine went away.
func serveProcess(ctx context.Context, conn *websocket.Conn, p nixspace.Process) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Whatever the goroutines wait for ends with the process.
	defer context.AfterFunc(ctx, func() { p.Close() })()

	var in sync.WaitGroup
	in.Go(func() {
		if err := readFrames(ctx, conn, p); err != nil {
			cancel(err)
		}
	})
	defer in.Wait()
	defer cancel(nil) // before the wait: it ends the read

	var out sync.WaitGroup
	out.Go(func() { sendOutput(ctx, cancel, conn, FrameStdout, p.Stdout()) })
	out.Go(func() { sendOutput(ctx, cancel, conn, FrameStderr, p.Stderr()) })
	out.Wait()
	code, err := p.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	exit := binary.BigEndian.AppendUint32([]byte{FrameExit}, uint32(int32(code)))
	if err := conn.Write(ctx, websocket.MessageBinary, exit); err != nil {
		return errClientGone
	}
	// The other goroutine still reads, and so sees the client's answer.
	_ = conn.Close(websocket.StatusNormalClosure, "")
	return nil
}

func sendOutput(ctx context.Context, cancel context.CancelCauseFunc, conn *websocket.Conn, typ byte, r io.Reader) {
	buf := make([]byte, 1+32<<10)
	buf[0] = typ
	for {
		n, err := r.Read(buf[1:])
		if n > 0 {
			if werr := conn.Write(ctx, websocket.MessageBinary, buf[:1+n]); werr != nil {
				cancel(errClientGone)
				return
			}
		}
		if err != nil {
			return // Wait says whether this was the end
		}
	}
}

// readFrames does what the client says. Standard input has a goroutine of its
// own, so that a signal can pass while a process does not read.
func readFrames(ctx context.Context, conn *websocket.Conn, p nixspace.Process) error {
	stdin := make(chan []byte, stdinQueued)
	var writer sync.WaitGroup
	defer writer.Wait()
	defer close(stdin)
	writer.Go(func() {
		w := p.Stdin()
		broken := false
		for b := range stdin {
			if b == nil {
				_ = w.Close()
				broken = true
			} else if !broken {
				_, err := w.Write(b)
				broken = err != nil // the process closed it; its exit tells the rest
			}
		}
	})
	ended := false
	for {
		typ, b, err := conn.Read(ctx)
		if err != nil {
			return errClientGone
		}
		if typ != websocket.MessageBinary || len(b) == 0 {
			return errFrame
		}
		payload := b[1:]
		switch b[0] {
		case FrameStdin, FrameStdinEOF:
			if ended || len(payload) == 0 && b[0] == FrameStdin {
				continue
			}
			if b[0] == FrameStdinEOF {
				ended, payload = true, nil
			}
			select {
			case stdin <- payload:
			case <-ctx.Done():
				return ctx.Err()
			}
		case FrameResize:
			if len(payload) != 4 {
				return errFrame
			}
			// A process that ended meanwhile has no size.
			_ = p.Resize(binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:]))
		case FrameSignal:
			if len(payload) > 16 {
				return errFrame
			}
			_ = p.Signal(string(payload))
		default:
			return errFrame
		}
	}
}

// errClientGone ends a socket without a word: nobody would hear it.
var errClientGone = errors.New("the client is gone")

var errFrame = nixspace.Errorf(nixspace.KindInvalid, "frame_invalid", "the client broke the protocol "+ExecProtocol)
