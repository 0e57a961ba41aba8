package daemon

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds of what a daemon may send in one value. The largest honest string is a
// build's log line or an error with its trace; the largest honest list is a
// closure.
const (
	maxString = 16 << 20
	maxList   = 1 << 20
)

// The primitives of the protocol (Nix: src/libutil/serialise.cc): integers are 64
// bits, little endian; a string is its length, its bytes, and zeros up to a
// multiple of eight; a list is its length and its elements.

// reader reads primitives. The first error sticks: later reads return zero values.
type reader struct {
	r   *bufio.Reader
	err error
}

var (
	errTooLong = errors.New("a value is longer than allowed")
	errPadding = errors.New("padding is not zero")
)

func (r *reader) fail(err error) {
	if r.err == nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		r.err = err
	}
}

func (r *reader) u64() uint64 {
	var b [8]byte
	if r.err != nil {
		return 0
	}
	if _, err := io.ReadFull(r.r, b[:]); err != nil {
		r.fail(err)
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (r *reader) bool() bool { return r.u64() != 0 }

// str reads a string. Memory grows with the bytes that really arrive.
func (r *reader) str() string {
	n := r.u64()
	if r.err != nil {
		return ""
	}
	if n > maxString {
		r.fail(fmt.Errorf("string of %d bytes: %w", n, errTooLong))
		return ""
	}
	const chunk = 64 << 10
	buf := make([]byte, 0, min(int(n), chunk))
	for uint64(len(buf)) < n {
		k := min(int(n)-len(buf), chunk)
		start := len(buf)
		buf = append(buf, make([]byte, k)...)
		if _, err := io.ReadFull(r.r, buf[start:]); err != nil {
			r.fail(err)
			return ""
		}
	}
	r.padding(n)
	if r.err != nil {
		return ""
	}
	return string(buf)
}

func (r *reader) padding(n uint64) {
	for k := (8 - n%8) % 8; k > 0 && r.err == nil; k-- {
		b, err := r.r.ReadByte()
		if err != nil {
			r.fail(err)
		} else if b != 0 {
			r.fail(errPadding)
		}
	}
}

// count reads the length of a list.
func (r *reader) count() int {
	n := r.u64()
	if n > maxList {
		r.fail(fmt.Errorf("list of %d elements: %w", n, errTooLong))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *reader) strs() []string {
	n := r.count()
	out := make([]string, 0, min(n, 1024))
	for i := 0; i < n && r.err == nil; i++ {
		out = append(out, r.str())
	}
	return out
}

// writer writes primitives; bufio keeps the first error until Flush.
type writer struct{ w *bufio.Writer }

var zeros [8]byte

func (w writer) u64(v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	_, _ = w.w.Write(b[:])
}

func (w writer) bool(v bool) {
	if v {
		w.u64(1)
	} else {
		w.u64(0)
	}
}

func (w writer) str(s string) {
	w.u64(uint64(len(s)))
	_, _ = w.w.WriteString(s)
	_, _ = w.w.Write(zeros[:(8-len(s)%8)%8])
}

func (w writer) strs(ss []string) {
	w.u64(uint64(len(ss)))
	for _, s := range ss {
		w.str(s)
	}
}
