// Package screen keeps the end of a terminal's output, from which the screen can be
// drawn again.
package screen

import (
	"bytes"
	"unicode/utf8"
)

// Ring keeps the last bytes of a terminal's output by their offsets: the first byte
// that was ever written has the offset 0.
type Ring struct {
	size  int
	buf   []byte // grows up to size, and then goes round
	end   int64  // how many bytes were ever written
	modes modes  // as the bytes that are no longer kept have left them
}

// New returns a ring of a size in bytes.
func New(size int) *Ring { return &Ring{size: size} }

// End is how many bytes were ever written.
func (r *Ring) End() int64 { return r.end }

// Start is the offset of the oldest byte that is kept.
func (r *Ring) Start() int64 { return r.end - int64(len(r.buf)) }

// Append writes to the end.
func (r *Ring) Append(p []byte) {
	if over := len(p) - r.size; over > 0 {
		r.Append(p[:over]) // so that modes sees all of it
		p = p[over:]
	}
	if room := r.size - len(r.buf); room > 0 {
		n := min(room, len(p))
		r.buf = append(r.buf, p[:n]...)
		r.end += int64(n)
		p = p[n:]
	}
	for len(p) > 0 {
		// It is full: the oldest byte lies where the next one goes.
		at := int(r.end % int64(r.size))
		n := min(len(p), r.size-at)
		r.modes.scan(r.buf[at : at+n])
		copy(r.buf[at:], p[:n])
		r.end += int64(n)
		p = p[n:]
	}
}

// From returns a copy of what is kept from an offset on, at most limit bytes. The
// offset must be one that is kept, or the end.
func (r *Ring) From(offset int64, limit int) []byte {
	n := int(min(r.end-offset, int64(limit)))
	out := make([]byte, 0, n)
	for n > 0 {
		at := int(offset % int64(r.size))
		part := r.buf[at:min(at+n, len(r.buf))]
		out = append(out, part...)
		offset += int64(len(part))
		n -= len(part)
	}
	return out
}

// Replay returns from where a screen can be drawn that is at most limit bytes
// behind, and what must be written before it.
func (r *Ring) Replay(limit int) (offset int64, prelude string) {
	const look = 4096 // bytes in which the beginning of a line is looked for
	offset = max(r.Start(), r.end-int64(limit))
	m := r.modes.clone()
	m.scan(r.From(r.Start(), int(offset-r.Start())))
	if offset == 0 {
		return 0, ""
	}
	next := r.From(offset, look)
	if i := bytes.IndexByte(next, '\n'); i >= 0 {
		next = next[:i+1]
	} else {
		// In the middle of a line, but not of a character.
		i := 0
		for i < len(next) && i < utf8.UTFMax && !utf8.RuneStart(next[i]) {
			i++
		}
		next = next[:i]
	}
	m.scan(next)
	return offset + int64(len(next)), m.String()
}
