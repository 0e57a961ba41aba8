package runner

import (
	"context"
	"io"
	"os"
	"sync"
)

const (
	consoleKept = 256 << 10 // bytes in memory, for readers
	consoleFile = 1 << 20   // bytes in each of two files
)

// console keeps what a guest's kernel and agent print: the last part in memory,
// for readers, and a bounded amount in files. It is safe for concurrent use, and
// writes do not wait for readers.
type console struct {
	path string

	mu      sync.Mutex
	buf     []byte
	end     int64 // bytes ever written; buf holds those before
	file    *os.File
	size    int64
	changed chan struct{} // closed at the next write or close
	closed  bool
}

func openConsole(path string) (*console, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &console{path: path, file: f, changed: make(chan struct{})}, nil
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, os.ErrClosed
	}
	if c.size += int64(len(p)); c.size > consoleFile {
		c.rotate()
		c.size = int64(len(p))
	}
	_, err := c.file.Write(p) // a full disk loses lines of the file only
	c.buf = append(c.buf, p...)
	if over := len(c.buf) - consoleKept; over > 0 {
		c.buf = append(c.buf[:0], c.buf[over:]...)
	}
	c.end += int64(len(p))
	close(c.changed)
	c.changed = make(chan struct{})
	return len(p), err
}

// rotate starts the file anew and keeps one former one.
func (c *console) rotate() {
	if os.Rename(c.path, c.path+".1") != nil {
		return
	}
	f, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	c.file.Close()
	c.file = f
}

// close ends all readers once they have read everything.
func (c *console) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	close(c.changed)
	return c.file.Close()
}

// copyTo writes what is kept to w and, with follow, what comes, until the console
// is closed or ctx ends.
func (c *console) copyTo(ctx context.Context, w io.Writer, follow bool, flush func()) error {
	var pos int64
	for {
		c.mu.Lock()
		start := c.end - int64(len(c.buf))
		piece := append([]byte{}, c.buf[max(pos, start)-start:]...)
		pos = c.end
		changed, closed := c.changed, c.closed
		c.mu.Unlock()
		if len(piece) > 0 {
			if _, err := w.Write(piece); err != nil {
				return err
			}
			flush()
		}
		if !follow || closed && len(piece) == 0 {
			return nil
		}
		if closed {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
