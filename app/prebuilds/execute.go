package prebuilds

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/nixspace/nixspace"
)

// execute runs a command in a machine, gives each line that it prints to line, and
// returns its exit code. The command ends with ctx.
func execute(ctx context.Context, m nixspace.Machine, c nixspace.Command, line func(string)) (int, error) {
	p, err := m.Exec(ctx, c)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	defer context.AfterFunc(ctx, func() { p.Close() })()
	if err := p.Stdin().Close(); err != nil {
		return 0, errors.Join(err, ctx.Err())
	}
	var wg sync.WaitGroup
	for _, r := range []io.Reader{p.Stdout(), p.Stderr()} {
		wg.Go(func() {
			w := &lines{line: line}
			_, _ = io.Copy(w, r)
			w.end()
		})
	}
	wg.Wait()
	code, err := p.Wait()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return code, err
}

// maxLine is where a line that does not end is cut, in bytes.
const maxLine = 8 << 10

// lines cuts what is written into lines. A carriage return ends one too: progress
// bars write over themselves.
type lines struct {
	line func(string)
	buf  []byte
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		part := p
		if i >= 0 {
			part, p = p[:i], p[i+1:]
		} else {
			p = nil
		}
		for len(l.buf)+len(part) > maxLine {
			room := maxLine - len(l.buf)
			l.buf = append(l.buf, part[:room]...)
			part = part[room:]
			l.end()
		}
		l.buf = append(l.buf, part...)
		if i >= 0 {
			l.end()
		}
	}
	return n, nil
}

// end ends a line, unless it is empty.
func (l *lines) end() {
	if len(l.buf) > 0 {
		l.line(string(l.buf))
	}
	l.buf = l.buf[:0]
}
