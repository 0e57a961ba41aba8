package wire

import (
	"io"
	"sync"
)

// Pipe is a bounded buffer between a writer and a reader, as the kernel has between
// two processes: who waits for the end of one output must not be in the way of a
// little of the other. Its methods are safe for concurrent use.
type Pipe struct {
	mu    sync.Mutex
	cond  sync.Cond
	buf   []byte // what was not read yet is buf[off:]
	off   int
	limit int
	err   error // for the reader, once everything was read
	gone  bool  // nobody reads
}

// NewPipe returns a pipe that holds up to limit bytes.
func NewPipe(limit int) *Pipe {
	p := &Pipe{limit: limit}
	p.cond.L = &p.mu
	return p
}

// Write takes all of b; it blocks while the pipe is full. It fails with
// io.ErrClosedPipe when nobody reads any more.
func (p *Pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := len(b)
	for len(b) > 0 {
		for len(p.buf)-p.off >= p.limit && !p.gone {
			p.cond.Wait()
		}
		if p.gone {
			return total - len(b), io.ErrClosedPipe
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
	return total, nil
}

// Buffered returns how many bytes wait for the reader.
func (p *Pipe) Buffered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.buf) - p.off
}

// Read reads what is there; it blocks while there is nothing.
func (p *Pipe) Read(b []byte) (int, error) {
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

// CloseWrite ends the pipe: after what it holds, reads fail with err.
func (p *Pipe) CloseWrite(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.cond.Broadcast()
}

// CloseRead drops what the pipe holds and makes all reads and writes fail.
func (p *Pipe) CloseRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.buf, p.off = nil, 0
	p.cond.Broadcast()
}
