package wire

import (
	"context"
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
		stdout: newPipe(pipeSize), stderr: newPipe(pipeSize),
		done: make(chan struct{}),
	}
	if cmd.TTY {
		p.stderr.closeWrite(io.EOF)
	}
	go p.receive()
	return p, nil
}

type process struct {
	conn           net.Conn
	w              *FrameWriter
	stdout, stderr *pipe
	stdin          sync.Mutex // guards stdinClosed and the order of writes
	stdinClosed    bool

	done chan struct{} // closed when code and err are set
	code int
	err  error
}

// receive reads all frames of the process. Its end is the end of the process.
func (p *process) receive() {
	frames := NewFrameReader(p.conn)
	p.code, p.err = p.receiveAll(frames)
	end := io.EOF
	if p.err != nil {
		end = p.err
	}
	p.stdout.closeWrite(end)
	p.stderr.closeWrite(end)
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
			err = p.stdout.write(b)
		case FrameErr:
			err = p.stderr.write(b)
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
	p.stdout.closeRead()
	p.stderr.closeRead()
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
	if len(b) == 0 {
		return 0, nil
	}
	if err := s.p.w.Write(FrameIn, b); err != nil {
		return 0, s.p.sent(err)
	}
	return len(b), nil
}

func (s stdin) Close() error {
	s.p.stdin.Lock()
	defer s.p.stdin.Unlock()
	if s.p.stdinClosed {
		return nil
	}
	s.p.stdinClosed = true
	if err := s.p.w.Write(FrameInEOF, nil); err != nil {
		select {
		case <-s.p.done: // it ended by itself, so nothing waits for the end of its input
			return nil
		default:
			return lost(err)
		}
	}
	return nil
}

// pipe is a bounded buffer between the receiver and one reader, as the kernel has
// between two processes: a reader of one output that waits for its end must not
// stop a little of the other.
type pipe struct {
	mu    sync.Mutex
	cond  sync.Cond
	buf   []byte // what was not read yet is buf[off:]
	off   int
	limit int
	err   error // for the reader, once everything was read
	gone  bool  // nobody reads
}

func newPipe(limit int) *pipe {
	p := &pipe{limit: limit}
	p.cond.L = &p.mu
	return p
}

func (p *pipe) write(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		for len(p.buf)-p.off >= p.limit && !p.gone {
			p.cond.Wait()
		}
		if p.gone {
			return io.ErrClosedPipe
		}
		n := min(len(b), p.limit-(len(p.buf)-p.off))
		if len(p.buf)+n > 2*p.limit {
			p.buf = p.buf[:copy(p.buf, p.buf[p.off:])]
			p.off = 0
		}
		p.buf = append(p.buf, b[:n]...)
		b = b[n:]
		p.cond.Broadcast()
	}
	return nil
}

// Read reads what is there; it blocks while there is nothing.
func (p *pipe) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == p.off && p.err == nil && !p.gone {
		p.cond.Wait()
	}
	if p.gone {
		return 0, io.ErrClosedPipe
	}
	if len(p.buf) == p.off {
		return 0, p.err
	}
	n := copy(b, p.buf[p.off:])
	if p.off += n; p.off == len(p.buf) {
		p.buf, p.off = p.buf[:0], 0
	}
	p.cond.Broadcast()
	return n, nil
}

func (p *pipe) closeWrite(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.cond.Broadcast()
}

func (p *pipe) closeRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.buf, p.off = nil, 0
	p.cond.Broadcast()
}
