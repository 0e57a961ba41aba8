package web

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/nixspace/nixspace"
)

// deaf is a terminal that notes what it is told.
type deaf struct {
	nixspace.Terminal
	acked int64
}

func (d *deaf) Resize(uint16, uint16) error { return nil }
func (d *deaf) Ack(n int64) error           { d.acked = n; return nil }

func FuzzClientFrame(f *testing.F) {
	f.Add([]byte{FrameStdin, 'l', 's'})
	f.Add([]byte{FrameResize, 0, 80, 0, 24})
	f.Add(binary.BigEndian.AppendUint64([]byte{FrameAck}, 77))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, in := &deaf{}, newTyped()
		err := clientFrame(b, d, in)
		if d.acked < 0 {
			t.Error("an offset before the beginning")
		}
		if err == nil && b[0] == FrameStdin && !bytes.Equal(in.buf, b[1:]) {
			t.Error("input was changed")
		}
		if err != nil && (len(in.buf) > 0 || d.acked != 0) {
			t.Error("a frame was refused and done")
		}
	})
}
