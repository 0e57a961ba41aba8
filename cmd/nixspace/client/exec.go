package client

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
)

// The protocol of the exec and shell sockets: docs/api.md describes it.
const (
	execProtocol = "nixspace.exec.v1"

	frameStdin    = 0
	frameStdinEOF = 1
	frameStdout   = 2
	frameStderr   = 3
	frameExit     = 4
	frameResize   = 5
	frameSignal   = 6
	frameError    = 7

	frameMax = 64 << 10
)

// Process is a command that runs in a session. Its methods are safe for
// concurrent use, Run aside.
type Process struct {
	c    *Client
	conn *websocket.Conn
	ctx  context.Context
	tty  bool
}

// Exec starts a command in a session. ctx bounds the whole life of the process:
// when it ends, the process does.
func (c *Client) Exec(ctx context.Context, session string, cmd nixspace.Command) (*Process, error) {
	return c.start(ctx, "/api/v1/sessions/"+url.PathEscape(session)+"/exec", cmd)
}

// Shell starts a shell in a session, on a terminal of the size that cmd says.
func (c *Client) Shell(ctx context.Context, session string, cmd nixspace.Command) (*Process, error) {
	cmd.TTY = true
	return c.start(ctx, "/api/v1/sessions/"+url.PathEscape(session)+"/shell", cmd)
}

func (c *Client) start(ctx context.Context, path string, cmd nixspace.Command) (*Process, error) {
	conn, err := c.dial(ctx, path, execProtocol, 4*frameMax)
	if err != nil {
		return nil, err
	}
	p := &Process{c: c, conn: conn, ctx: ctx, tty: cmd.TTY}
	b, err := json.Marshal(cmd)
	if err != nil {
		_ = conn.CloseNow()
		return nil, fmt.Errorf("encode a command: %w", err)
	}
	if err := conn.Write(ctx, websocket.MessageText, b); err != nil {
		_ = conn.CloseNow()
		return nil, c.broken(ctx, err)
	}
	typ, b, err := conn.Read(ctx)
	if err != nil {
		_ = conn.CloseNow()
		return nil, c.broken(ctx, err)
	}
	if typ == websocket.MessageBinary && len(b) > 0 && b[0] == frameError {
		_ = conn.CloseNow()
		return nil, readError(b[1:])
	}
	return p, nil
}

func readError(b []byte) error {
	var p problem
	if err := json.Unmarshal(b, &p); err != nil {
		return fmt.Errorf("read the server's error: %w", err)
	}
	return p.err()
}

// Run joins the process with streams until it ended, and returns its exit code.
// A nil stdin is an empty one. Reading stdin may go on after Run returned: a
// read from a terminal cannot be given up.
func (p *Process) Run(stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	defer p.Close()
	if stdin == nil {
		if err := p.sendEOF(); err != nil {
			return 0, err
		}
	} else {
		go p.sendStdin(stdin)
	}
	for {
		typ, b, err := p.conn.Read(p.ctx)
		if err != nil {
			return 0, p.c.broken(p.ctx, err)
		}
		if typ != websocket.MessageBinary {
			continue // nothing that this version knows
		}
		code, done, err := readFrame(b, stdout, stderr)
		if err != nil {
			return 0, err
		}
		if done {
			_ = p.conn.Close(websocket.StatusNormalClosure, "")
			return code, nil
		}
	}
}

// readFrame does what one message of the server says. It reports whether the
// process ended, and with which code. Types that it does not know are of later
// versions, and mean nothing to this one.
func readFrame(b []byte, stdout, stderr io.Writer) (code int, done bool, err error) {
	if len(b) == 0 {
		return 0, false, nil
	}
	payload := b[1:]
	switch b[0] {
	case frameStdout:
		_, err = stdout.Write(payload)
	case frameStderr:
		_, err = stderr.Write(payload)
	case frameExit:
		if len(payload) != 4 {
			return 0, false, errors.New("the server sent a broken exit code")
		}
		return int(int32(binary.BigEndian.Uint32(payload))), true, nil
	case frameError:
		return 0, false, readError(payload)
	}
	if err != nil {
		err = fmt.Errorf("write output: %w", err)
	}
	return 0, false, err
}

func (p *Process) sendStdin(r io.Reader) {
	buf := make([]byte, 1+frameMax)
	buf[0] = frameStdin
	for {
		n, err := r.Read(buf[1:])
		if n > 0 && p.conn.Write(p.ctx, websocket.MessageBinary, buf[:1+n]) != nil {
			return
		}
		if err != nil {
			_ = p.sendEOF()
			return
		}
	}
}

// sendEOF says that there is no more input. On a terminal, that is a key:
// closing a terminal would end what runs on it.
func (p *Process) sendEOF() error {
	if p.tty {
		return p.send(frameStdin, []byte{0x04})
	}
	return p.send(frameStdinEOF, nil)
}

func (p *Process) send(typ byte, payload []byte) error {
	if err := p.conn.Write(p.ctx, websocket.MessageBinary, append([]byte{typ}, payload...)); err != nil {
		return p.c.broken(p.ctx, err)
	}
	return nil
}

// Resize tells the size of the terminal.
func (p *Process) Resize(cols, rows uint16) error {
	return p.send(frameResize, binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, cols), rows))
}

// Signal sends a signal, by its name, to the process.
func (p *Process) Signal(name string) error { return p.send(frameSignal, []byte(name)) }

// Close ends the process, if it still runs.
func (p *Process) Close() { _ = p.conn.CloseNow() }
