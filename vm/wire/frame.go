package wire

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// FrameType says what a frame carries.
type FrameType byte

// The types of frames.
const (
	FrameIn     FrameType = 1  // host → guest: bytes of standard input, a connection or an archive
	FrameInEOF  FrameType = 2  // host → guest: no more of them; empty
	FrameOut    FrameType = 3  // guest → host: bytes of standard output, a connection, an archive or a log
	FrameErr    FrameType = 4  // guest → host: bytes of standard error
	FrameExit   FrameType = 5  // guest → host: the exit code, a big-endian signed 32-bit number; the last frame
	FrameResize FrameType = 6  // host → guest: columns and rows, two big-endian 16-bit numbers
	FrameSignal FrameType = 7  // host → guest: the name of a signal
	FrameOutEOF FrameType = 8  // guest → host: no more FrameOut; empty
	FrameStatus FrameType = 9  // guest → host: JSON, the state of something that goes on
	FrameResult FrameType = 10 // guest → host: JSON, success; the last frame
	FrameError  FrameType = 11 // guest → host: JSON, an [ErrorBody]; the last frame
	FrameCredit FrameType = 12 // guest → host: how many bytes of FrameIn were taken, a big-endian 32-bit number
	FrameSkip   FrameType = 13 // guest → host: the offset at which FrameOut goes on, a big-endian 64-bit number
	FrameAck    FrameType = 14 // host → guest: the offset before which all of FrameOut was shown, likewise
)

const frameHeader = 5 // type, length

// A FrameWriter writes frames. It is safe for concurrent use.
type FrameWriter struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
}

// NewFrameWriter returns a writer of frames to w.
func NewFrameWriter(w io.Writer) *FrameWriter { return &FrameWriter{w: w} }

// Write sends p as frames of type t: one where it fits, and one for an empty p.
func (f *FrameWriter) Write(t FrameType, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		n := min(len(p), MaxFrame)
		// One write for each frame: it becomes one packet of the transport.
		f.buf = append(f.buf[:0], byte(t))
		f.buf = binary.BigEndian.AppendUint32(f.buf, uint32(n))
		f.buf = append(f.buf, p[:n]...)
		if _, err := f.w.Write(f.buf); err != nil {
			return err
		}
		if p = p[n:]; len(p) == 0 {
			return nil
		}
	}
}

// WriteJSON sends v as one frame of type t.
func (f *FrameWriter) WriteJSON(t FrameType, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(b) > MaxFrame {
		return protocolError("a frame of %d bytes is more than the limit of %d", len(b), MaxFrame)
	}
	return f.Write(t, b)
}

// WriteExit sends an exit code.
func (f *FrameWriter) WriteExit(code int) error {
	return f.Write(FrameExit, binary.BigEndian.AppendUint32(nil, uint32(int32(code))))
}

// WriteResize sends the size of a terminal.
func (f *FrameWriter) WriteResize(cols, rows uint16) error {
	b := binary.BigEndian.AppendUint16(nil, cols)
	return f.Write(FrameResize, binary.BigEndian.AppendUint16(b, rows))
}

// WriteCredit tells the host that n bytes of its input were taken.
func (f *FrameWriter) WriteCredit(n int) error {
	return f.Write(FrameCredit, binary.BigEndian.AppendUint32(nil, uint32(n)))
}

// WriteOffset sends an offset, as a frame of type t.
func (f *FrameWriter) WriteOffset(t FrameType, offset int64) error {
	return f.Write(t, binary.BigEndian.AppendUint64(nil, uint64(offset)))
}

// Stream returns a writer of bytes as frames of type t.
func (f *FrameWriter) Stream(t FrameType) io.Writer { return frameStream{f, t} }

type frameStream struct {
	f *FrameWriter
	t FrameType
}

func (s frameStream) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := s.f.Write(s.t, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// A FrameReader reads frames. It is not safe for concurrent use. A read that
// fails for a timeout can be repeated without loss.
type FrameReader struct {
	r    *bufio.Reader
	head [frameHeader]byte
	got  int // bytes of head that were read
	left int // bytes of the payload that were not
	buf  []byte
}

// NewFrameReader returns a reader of frames from r. It reads ahead, so nothing
// else may read from r afterwards.
func NewFrameReader(r io.Reader) *FrameReader {
	return &FrameReader{r: bufio.NewReaderSize(r, 16<<10)}
}

// NextHeader skips what is left of the present frame and reads the head of the
// next one. Its payload can be taken piecewise with [FrameReader.Read]. It
// returns io.EOF at an end between two frames.
func (f *FrameReader) NextHeader() (FrameType, int, error) {
	for f.left > 0 {
		n, err := f.r.Discard(f.left)
		f.left -= n
		if err != nil {
			return 0, 0, noEOF(err)
		}
	}
	for f.got < frameHeader {
		n, err := f.r.Read(f.head[f.got:])
		f.got += n
		if err != nil {
			if f.got > 0 {
				err = noEOF(err)
			}
			return 0, 0, err
		}
	}
	f.got = 0
	n := binary.BigEndian.Uint32(f.head[1:])
	if n > MaxFrame {
		return 0, 0, protocolError("a frame of %d bytes is more than the limit of %d", n, MaxFrame)
	}
	f.left = int(n)
	return FrameType(f.head[0]), f.left, nil
}

// Read reads from the payload of the present frame; io.EOF at its end.
func (f *FrameReader) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n, err := f.r.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, noEOF(err)
}

// Next reads one whole frame. The payload is valid until the next call.
func (f *FrameReader) Next() (FrameType, []byte, error) {
	t, n, err := f.NextHeader()
	if err != nil {
		return 0, nil, err
	}
	if cap(f.buf) < n {
		f.buf = make([]byte, n)
	}
	b := f.buf[:n]
	if _, err := io.ReadFull(f, b); err != nil {
		return 0, nil, noEOF(err)
	}
	return t, b, nil
}

// DecodeExit reads the payload of a [FrameExit].
func DecodeExit(p []byte) (int, error) {
	if len(p) != 4 {
		return 0, protocolError("an exit code has %d bytes", len(p))
	}
	return int(int32(binary.BigEndian.Uint32(p))), nil
}

// DecodeResize reads the payload of a [FrameResize].
func DecodeResize(p []byte) (cols, rows uint16, err error) {
	if len(p) != 4 {
		return 0, 0, protocolError("the size of a terminal has %d bytes", len(p))
	}
	return binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:]), nil
}

// DecodeCredit reads the payload of a [FrameCredit].
func DecodeCredit(p []byte) (int, error) {
	if len(p) != 4 {
		return 0, protocolError("a credit has %d bytes", len(p))
	}
	n := binary.BigEndian.Uint32(p)
	if n > InWindow {
		return 0, protocolError("a credit of %d bytes is more than the window of %d", n, InWindow)
	}
	return int(n), nil
}

// DecodeError reads the payload of a [FrameError].
func DecodeError(p []byte) error {
	var b ErrorBody
	if err := json.Unmarshal(p, &b); err != nil {
		return protocolError("an error cannot be read: %w", err)
	}
	return b.Err()
}

// DecodeOffset reads the payload of [FrameSkip] and [FrameAck].
func DecodeOffset(p []byte) (int64, error) {
	if len(p) != 8 || p[0] > 0x7f {
		return 0, protocolError("an offset of %d bytes", len(p))
	}
	return int64(binary.BigEndian.Uint64(p)), nil
}
