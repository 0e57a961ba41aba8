// Package journal keeps the logs of a guest's agent and services: their last bytes in
// memory, and files of bounded size on the disk.
package journal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	Memory   = 256 << 10 // bytes of each log that are kept in memory, and can be asked for
	FileSize = 1 << 20   // bytes after which a log's file becomes its .1
)

// Journal holds the logs of the agent and its services. Its methods are safe for
// concurrent use.
type Journal struct {
	mu   sync.Mutex
	logs map[string]*Log
	dir  string // where the logs are files too; empty while there is no disk

	copies sync.WaitGroup // what copies output into logs
	ctx    context.Context
	end    context.CancelFunc // ends the copies
}

// New returns a journal without a disk.
func New() *Journal {
	j := &Journal{logs: map[string]*Log{}}
	j.ctx, j.end = context.WithCancel(context.Background())
	return j
}

// NewLog returns a log that is in no journal.
func NewLog() *Log { return &Log{changed: make(chan struct{})} }

// Open returns the log of a service; of the agent itself for an empty name.
func (j *Journal) Open(name string) *Log {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.logs[name]
	if l == nil {
		l = NewLog()
		j.logs[name] = l
		if j.dir != "" {
			l.keep(j.file(name))
		}
	}
	return l
}

// Find returns the log of a service, nil where it has none.
func (j *Journal) Find(name string) *Log {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.logs[name]
}

func (j *Journal) file(name string) string {
	if name == "" {
		name = "agent"
	}
	return filepath.Join(j.dir, name+".log")
}

// Keep makes all logs files in dir from now on.
func (j *Journal) Keep(dir string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dir = dir
	for name, l := range j.logs {
		l.keep(j.file(name))
	}
}

// Pipe returns the end of a new pipe whose other end is copied into a log, until
// its last writer has closed it. Then the channel is closed.
func (j *Journal) Pipe(l *Log) (fd int, drained <-chan struct{}, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return -1, nil, os.NewSyscallError("pipe", err)
	}
	_ = unix.SetNonblock(fds[0], true)
	r := os.NewFile(uintptr(fds[0]), "log")
	done := make(chan struct{})
	j.copies.Go(func() {
		defer close(done)
		defer func() { _ = r.Close() }()
		stop := context.AfterFunc(j.ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
		buf := make([]byte, 16<<10)
		for {
			n, err := r.Read(buf)
			if n > 0 {
				_, _ = l.Write(buf[:n])
			}
			if err != nil {
				return
			}
		}
	})
	return fds[1], done, nil
}

// Close ends what copies output into the logs and closes the files, so that their
// disk can be unmounted. The agent's own log goes on in memory.
func (j *Journal) Close() {
	j.end()
	j.copies.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dir = ""
	for _, l := range j.logs {
		l.release()
	}
}

// Log is one log: its last bytes in memory, for whoever follows, and in a
// file, for after a restart. It never fails a writer.
type Log struct {
	mu      sync.Mutex
	buf     []byte
	end     int64         // how many bytes were ever written; buf holds the last of them
	changed chan struct{} // closed and replaced when something was written
	path    string
	file    *os.File
	size    int64
	tee     io.Writer
}

// Tee makes a writer get what is written from now on, too.
func (l *Log) Tee(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tee = w
}

// Write implements io.Writer. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(p)
	if l.tee != nil {
		_, _ = l.tee.Write(p)
	}
	if l.file != nil {
		l.writeFile(p)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

// append keeps the last bytes. The buffer is cut only when it has grown to twice
// its size, so that a byte is moved once on average.
func (l *Log) append(p []byte) {
	l.end += int64(len(p))
	if len(p) >= Memory {
		l.buf, p = l.buf[:0], p[len(p)-Memory:]
	}
	if len(l.buf)+len(p) > 2*Memory {
		keep := l.buf[len(l.buf)-(Memory-len(p)):]
		l.buf = l.buf[:copy(l.buf, keep)]
	}
	l.buf = append(l.buf, p...)
}

func (l *Log) writeFile(p []byte) {
	if l.size+int64(len(p)) > FileSize && l.size > 0 {
		_ = l.file.Close()
		l.file, l.size = nil, 0
		_ = os.Rename(l.path, l.path+".1")
		l.create()
	}
	if l.file == nil {
		return
	}
	n, _ := l.file.Write(p) // a full disk must not stop a service; the memory has it
	l.size += int64(n)
}

func (l *Log) create() {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return
	}
	l.file, l.size = f, 0
	if info, err := f.Stat(); err == nil {
		l.size = info.Size()
	}
}

// keep makes the log a file too. What the file holds from before comes first in
// memory, and what memory holds is added to the file.
func (l *Log) keep(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		return
	}
	now := bytes.Clone(l.buf)
	l.buf, l.end = nil, 0
	if old, err := tail(path, Memory/2); err == nil {
		l.append(old)
	}
	l.append(now)
	l.path = path
	l.create()
	if l.file != nil {
		l.writeFile(now)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *Log) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Sync()
		_ = l.file.Close()
		l.file = nil
	}
}

// tail returns the last whole lines of a file, at most limit bytes.
func tail(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	skip := max(0, info.Size()-limit)
	b := make([]byte, info.Size()-skip)
	n, err := f.ReadAt(b, skip)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	b = b[:n]
	if skip > 0 {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	return b, nil
}

// From returns a copy of what there is after offset, at most limit bytes, the
// offset behind it, and a channel that is closed when there is more. Bytes that
// are no longer in memory are skipped.
func (l *Log) From(offset int64, limit int) (p []byte, next int64, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.end - int64(len(l.buf))
	offset = min(max(offset, first), l.end)
	p = l.buf[offset-first:]
	p = bytes.Clone(p[:min(len(p), limit)])
	return p, offset + int64(len(p)), l.changed
}

// Last returns the last whole lines, at most n of them and limit bytes.
func (l *Log) Last(n, limit int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := bytes.TrimRight(l.buf, "\n")
	if len(b) > limit {
		b = b[len(b)-limit:]
	}
	start := len(b)
	for ; n > 0 && start > 0; n-- {
		start = bytes.LastIndexByte(b[:start], '\n')
		if start < 0 {
			start = 0
			break
		}
	}
	return string(bytes.TrimLeft(b[start:], "\n"))
}
