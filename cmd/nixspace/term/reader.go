package term

import (
	"errors"
	"io"

	"github.com/nixspace/nixspace"
)

// Reader returns r, of which the display shows how much was read: as a phase of a
// job, with a bar where total, in bytes, is not 0. The phase ends with the stream.
func (d *Display) Reader(r io.Reader, job, phase string, total int64) io.Reader {
	if d == nil {
		return r
	}
	return &reader{r: r, d: d, p: nixspace.Progress{Job: job, Phase: phase, Total: total, Unit: "B"}}
}

type reader struct {
	r io.Reader
	d *Display
	p nixspace.Progress
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.p.Done += int64(n)
	ended := errors.Is(err, io.EOF) && !r.p.Final
	r.p.Final = r.p.Final || ended
	if ended || !r.p.Final {
		r.d.Report(r.p)
	}
	return n, err
}
