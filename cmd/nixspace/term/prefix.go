package term

import (
	"bytes"
	"io"
	"sync"
)

// lineMax is how long a line may get before it is written without its end.
const lineMax = 64 << 10

// Prefixed writes lines to w with a prefix before each, a whole line at a time,
// so that several writers can share w. Close writes a last line without an end.
type Prefixed struct {
	mu     sync.Mutex
	w      io.Writer
	prefix string
	buf    []byte
}

// NewPrefixed returns a writer of prefixed lines to w, whose Write must be safe
// for concurrent use.
func NewPrefixed(w io.Writer, prefix string) *Prefixed { return &Prefixed{w: w, prefix: prefix} }

// Write takes any part of the text.
func (p *Prefixed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buf = append(p.buf, b...)
	var out bytes.Buffer
	for {
		i := bytes.IndexByte(p.buf, '\n')
		if i < 0 {
			if len(p.buf) <= lineMax {
				break
			}
			i = len(p.buf) - 1
		}
		out.WriteString(p.prefix)
		out.Write(bytes.TrimSuffix(p.buf[:i+1], []byte("\n")))
		out.WriteByte('\n')
		p.buf = p.buf[i+1:]
	}
	if out.Len() > 0 {
		if _, err := p.w.Write(out.Bytes()); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// Close writes what is left.
func (p *Prefixed) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.buf) == 0 {
		return nil
	}
	_, err := io.WriteString(p.w, p.prefix+string(p.buf)+"\n")
	p.buf = nil
	return err
}

// Locked makes w safe for concurrent use.
func Locked(w io.Writer) io.Writer { return &locked{w: w} }

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
