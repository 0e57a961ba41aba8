package main

import (
	"bytes"
	"io"
	"regexp"

	"github.com/nixspace/nixspace"
)

// grepLineMax is how many bytes of a line are looked at; a longer one is taken
// for several.
const grepLineMax = 1 << 20

// grep passes on the lines that match.
type grep struct {
	to      io.Writer
	pattern *regexp.Regexp
	buf     []byte
}

// newGrep returns a filter of lines by a regular expression (RE2).
func newGrep(to io.Writer, pattern string) (*grep, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "pattern_invalid", "%q is no regular expression: %w", pattern, err).
			WithHint(`write . + * ? ( ) [ ] { } ^ $ | \ with a \ before them to find the characters themselves`)
	}
	return &grep{to: to, pattern: re}, nil
}

// Write implements io.Writer.
func (g *grep) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			g.buf = append(g.buf, p...)
			if len(g.buf) < grepLineMax {
				return n, nil
			}
			p = nil
		} else {
			g.buf = append(g.buf, p[:i+1]...)
			p = p[i+1:]
		}
		if err := g.flush(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// flush looks at the line so far: call it at the end, too.
func (g *grep) flush() error {
	line := g.buf
	g.buf = g.buf[:0]
	if len(line) == 0 || !g.pattern.Match(bytes.TrimSuffix(line, []byte("\n"))) {
		return nil
	}
	_, err := g.to.Write(line)
	return err
}
