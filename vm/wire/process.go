package wire

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// pipeSize is how much output of a process is kept for its reader before the
// process has to wait.
const pipeSize = 256 << 10

// Exec starts a command in the guest. It fails with code "command_not_found"
// when the command is not in the guest. Once started, the process is independent
// of ctx.
func (c *Client) Exec(ctx context.Context, cmd nixspace.Command) (nixspace.Process, error) {
	conn, err := c.start(ctx, ServiceExec, cmd, nil)
	if err != nil {
		return nil, err
	}
	p := &process{
		conn: conn, w: NewFrameWriter(conn),
		stdout: NewPipe(pipeSize), stderr: NewPipe(pipeSize),
		credit: newCredit(InWindow),
		done:   make(chan struct{}),
	}
	if cmd.TTY {
		p.stderr.CloseWrite(io.EOF)
	}
	go p.receive()
	return p, nil
}

type process struct {
	conn           net.Conn
	w              *FrameWriter
	stdout, stderr *Pipe
	stdin          sync.Mutex // held for one write, or for the end
	stdinClosed    bool
	credit         *credit

	done  chan struct{} // closed when code, usage and err are set
	code  int
	usage *nixspace.Usage
	err   error
}

// takeUsage reads what the command used. The guest may say anything: it is data.
func (p *process) takeUsage(b []byte) error {
	var u nixspace.Usage
	if err := json.Unmarshal(b, &u); err != nil {
		return protocolError("what a command used cannot be read: %v", err)
	}
	if min(u.Wall, u.User, u.System) < 0 || min(u.Memory, u.Read, u.Written) < 0 {
		return protocolError("a command used less than nothing")
	}
	p.usage = &u
	return nil
}

// Usage implements nixspace.UsageReporter.
func (p *process) Usage() *nixspace.Usage {
	<-p.done
	return p.usage
}

// receive reads all frames of the process. Its end is the end of the process.
func (p *process) receive() {
	frames := NewFrameReader(p.conn)
	p.code, p.err = p.receiveAll(frames)
	end := io.EOF
	if p.err != nil {
		end = p.err
	}
	p.credit.close()
	p.stdout.CloseWrite(end)
	p.stderr.CloseWrite(end)
	_ = p.conn.Close()
	close(p.done)
}

func (p *process) receiveAll(frames *FrameReader) (int, error) {
	for {
		t, b, err := frames.Next()
		if err != nil {
			return -1, known(err)
		}
		switch t {
		case FrameOut:
			_, err = p.stdout.Write(b)
		case FrameErr:
			_, err = p.stderr.Write(b)
		case FrameCredit:
			var n int
			if n, err = DecodeCredit(b); err == nil {
				p.credit.add(n)
			}
		case FrameStatus:
			err = p.takeUsage(b)
		case FrameExit:
			return DecodeExit(b)
		case FrameError:
			err = DecodeError(b)
		default:
			err = protocolError("unexpected frame of type %d", t)
		}
		if err != nil {
			return -1, err
		}
	}
}

func (p *process) Stdin() io.WriteCloser { return stdin{p} }
func (p *process) Stdout() io.Reader     { return p.stdout }
func (p *process) Stderr() io.Reader     { return p.stderr }

func (p *process) Resize(cols, rows uint16) error {
	return p.sent(p.w.WriteResize(cols, rows))
}

func (p *process) Signal(name string) error {
	return p.sent(p.w.Write(FrameSignal, []byte(name)))
}

// sent turns a failure to write into what it means. A process that has ended
// takes nothing more.
func (p *process) sent(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-p.done:
		if p.err == nil {
			return nixspace.Errorf(nixspace.KindConflict, "process_ended", "the process has ended already")
		}
		return p.err
	default:
		return lost(err)
	}
}

func (p *process) Wait() (int, error) {
	<-p.done
	return p.code, p.err
}

func (p *process) Close() error {
	// The guest ends the process when its stream ends.
	_ = p.conn.Close()
	_ = p.conn.SetDeadline(time.Unix(1, 0))
	p.stdout.CloseRead()
	p.stderr.CloseRead()
	<-p.done
	return nil
}

type stdin struct{ p *process }

func (s stdin) Write(b []byte) (int, error) {
	s.p.stdin.Lock()
	defer s.p.stdin.Unlock()
	if s.p.stdinClosed {
		return 0, io.ErrClosedPipe
	}
	sent := 0
	for sent < len(b) {
		n := s.p.credit.take(min(len(b)-sent, MaxFrame))
		if n == 0 {
			<-s.p.done
			return sent, s.p.sent(io.ErrClosedPipe)
		}
		if err := s.p.w.Write(FrameIn, b[sent:sent+n]); err != nil {
			return sent, s.p.sent(err)
		}
		sent += n
	}
	return sent, nil
}

func (s stdin) Close() error {
	s.p.stdin.Lock()
	defer s.p.stdin.Unlock()
	if s.p.stdinClosed {
		return nil
	}
	s.p.stdinClosed = true
	// It may fail because the process has just ended by itself, and nothing waits
	// for the end of its input. Whatever it was, Wait says what became of the
	// process.
	_ = s.p.w.Write(FrameInEOF, nil)
	return nil
}

// credit is how many bytes of input may be sent before the guest has taken some.
// Without it, input that a process does not read would keep a signal, or the end
// of the stream, from reaching the guest.
type credit struct {
	mu     sync.Mutex
	cond   sync.Cond
	left   int
	closed bool
}

func newCredit(n int) *credit {
	c := &credit{left: n}
	c.cond.L = &c.mu
	return c
}

func (c *credit) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = min(c.left+n, InWindow)
	c.cond.Broadcast()
}

// take waits for credit and takes up to want of it; 0 once it is closed.
func (c *credit) take(want int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.left == 0 && !c.closed {
		c.cond.Wait()
	}
	if c.closed {
		return 0
	}
	n := min(want, c.left)
	c.left -= n
	return n
}

func (c *credit) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.cond.Broadcast()
}
