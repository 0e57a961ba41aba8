package qemu

import (
	"io"
	"strings"
	"sync"
	"unicode"
)

// tail keeps the last bytes that were written to it. It is safe for concurrent
// use, and writes never fail or block.
type tail struct {
	size int

	mu  sync.Mutex
	buf []byte
}

func newTail(size int) *tail { return &tail{size: size} }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p[max(0, len(p)-t.size):]...)
	if over := len(t.buf) - t.size; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// String returns what is kept as text that can be shown: a guest may have
// written anything.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, string(t.buf))
	return strings.TrimSpace(s)
}

// tee writes to a tail and, where there is one, to a further writer whose errors
// do not matter: QEMU must never wait for somebody to read its console.
func tee(t *tail, further io.Writer) io.Writer {
	if further == nil {
		return t
	}
	return teeWriter{t, further}
}

type teeWriter struct {
	tail    *tail
	further io.Writer
}

func (w teeWriter) Write(p []byte) (int, error) {
	_, _ = w.further.Write(p)
	return w.tail.Write(p)
}
