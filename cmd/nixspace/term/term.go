// Package term shows people what goes on: on a terminal as a live region of
// progress bars below the output, elsewhere as plain lines.
package term

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"charm.land/lipgloss/v2"
	xterm "golang.org/x/term"

	"github.com/nixspace/nixspace"
)

// redrawEvery is how often a live region is drawn at most.
const redrawEvery = 80 * time.Millisecond

// Display shows progress and messages. Its methods are safe for concurrent use,
// and do nothing on a nil Display.
type Display struct {
	w     io.Writer
	live  bool
	color bool
	size  func() (cols, rows int)

	mu    sync.Mutex
	jobs  []*job // in the order in which they began
	drawn int    // lines of the region on the screen
	dirty bool
	stop  chan struct{}
	done  chan struct{}
}

type job struct {
	name string
	last nixspace.Progress
	text string // instead of a bar
}

// New returns a display on w, for the environment variables that getenv knows.
// It is live when w is a terminal, unless NO_COLOR or CI is set or the terminal
// is a dumb one.
func New(w io.Writer, getenv func(string) string) *Display {
	d := &Display{w: w}
	f, ok := w.(*os.File)
	if ok && xterm.IsTerminal(int(f.Fd())) && getenv("TERM") != "dumb" && getenv("NO_COLOR") == "" && getenv("CI") == "" {
		d.live, d.color = true, true
		d.size = func() (int, int) {
			cols, rows, err := xterm.GetSize(int(f.Fd()))
			if err != nil || cols <= 0 || rows <= 0 {
				return 80, 24
			}
			return cols, rows
		}
		d.start()
	}
	return d
}

func (d *Display) start() {
	d.stop, d.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(d.done)
		t := time.NewTicker(redrawEvery)
		defer t.Stop()
		for {
			select {
			case <-d.stop:
				return
			case <-t.C:
				d.mu.Lock()
				if d.dirty {
					d.redraw("")
				}
				d.mu.Unlock()
			}
		}
	}()
}

// Close takes the live region away and ends the display.
func (d *Display) Close() {
	if d == nil || d.stop == nil {
		return
	}
	close(d.stop)
	<-d.done
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop = nil
	d.jobs = nil
	d.redraw("")
}

// Live reports whether the display draws on a terminal.
func (d *Display) Live() bool { return d != nil && d.live }

// Printf writes a line above the live region.
func (d *Display) Printf(format string, args ...any) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.print(fmt.Sprintf(format, args...))
}

func (d *Display) print(line string) {
	line = strings.TrimRight(line, "\n") + "\n"
	if d.live {
		d.redraw(line)
		return
	}
	_, _ = io.WriteString(d.w, line)
}

// Through returns a writer to w, which may be the same terminal: what is written
// to it, in whole lines, stands above the live region. It is safe for concurrent
// use.
func (d *Display) Through(w io.Writer) io.Writer {
	if !d.Live() {
		return Locked(w)
	}
	return through{d, w}
}

type through struct {
	d *Display
	w io.Writer
}

func (t through) Write(p []byte) (int, error) {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	t.d.erase()
	n, err := t.w.Write(p)
	t.d.redraw("")
	return n, err
}

// Status shows what a job is doing, in words, until it is changed or the job is
// done. Elsewhere than on a terminal it prints a line.
func (d *Display) Status(name, text string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	j := d.job(name)
	if j.text == text {
		return
	}
	j.text = text
	d.dirty = true
	if !d.live {
		d.print(name + ": " + text)
	}
}

// Done takes a job out of the region and prints how it ended.
func (d *Display) Done(name, format string, args ...any) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.jobs = slices.DeleteFunc(d.jobs, func(j *job) bool { return j.name == name })
	d.print(fmt.Sprintf(format, args...))
}

// Forget takes a job out of the region without a word.
func (d *Display) Forget(name string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.jobs = slices.DeleteFunc(d.jobs, func(j *job) bool { return j.name == name })
	d.dirty = true
}

func (d *Display) job(name string) *job {
	for _, j := range d.jobs {
		if j.name == name {
			return j
		}
	}
	j := &job{name: name}
	d.jobs = append(d.jobs, j)
	return j
}

// Report shows progress; it is a [nixspace.ProgressFunc]. Elsewhere than on a
// terminal a line is printed when a phase begins and when it ends.
func (d *Display) Report(p nixspace.Progress) {
	if d == nil || p.Log != "" {
		return // the log belongs to the build, which keeps it
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live {
		if p.Final {
			d.jobs = slices.DeleteFunc(d.jobs, func(j *job) bool { return j.name == p.Job })
		} else {
			j := d.job(p.Job)
			j.last, j.text = p, ""
		}
		d.dirty = true
		return
	}
	j := d.job(p.Job)
	if p.Final {
		if p.Done > 0 {
			d.print(fmt.Sprintf("%s: %s done, %s", p.Job, p.Phase, amount(p.Done, p.Unit)))
		} else {
			d.print(fmt.Sprintf("%s: %s done", p.Job, p.Phase))
		}
		j.last = nixspace.Progress{}
		return
	}
	if j.last.Phase != p.Phase {
		d.print(fmt.Sprintf("%s: %s", p.Job, p.Phase))
	}
	j.last = p
}

// erase takes the live region off the screen.
func (d *Display) erase() {
	if d.drawn > 0 {
		_, _ = fmt.Fprintf(d.w, "\x1b[%dA\r\x1b[J", d.drawn)
		d.drawn = 0
	}
}

// redraw replaces the live region, with text above it.
func (d *Display) redraw(text string) {
	d.dirty = false
	var b strings.Builder
	if d.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", d.drawn)
	}
	b.WriteString("\r\x1b[J")
	b.WriteString(text)
	if text != "" && !strings.HasSuffix(text, "\n") {
		b.WriteByte('\n') // the region needs a line of its own
	}
	lines := d.lines()
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	d.drawn = len(lines)
	_, _ = io.WriteString(d.w, b.String())
}

const barWidth = 24

var (
	barStyle  = lipgloss.NewStyle().Foreground(lipgloss.Color("6"))
	dimStyle  = lipgloss.NewStyle().Faint(true)
	boldStyle = lipgloss.NewStyle().Bold(true)
)

func (d *Display) lines() []string {
	if len(d.jobs) == 0 {
		return nil
	}
	cols, rows := d.size()
	most := max(1, min(len(d.jobs), rows-3, 16))
	lines := make([]string, 0, most+1)
	for _, j := range d.jobs[:most] {
		lines = append(lines, lipgloss.NewStyle().MaxWidth(cols-1).Inline(true).Render(j.line()))
	}
	if more := len(d.jobs) - most; more > 0 {
		lines = append(lines, dimStyle.Render(fmt.Sprintf("  and %d more", more)))
	}
	return lines
}

func (j *job) line() string {
	name := fmt.Sprintf("  %-22s ", clean(j.name))
	if j.text != "" {
		return name + clean(j.text)
	}
	p := j.last
	switch {
	case p.Total > 0:
		done := int(barWidth * min(p.Done, p.Total) / p.Total)
		return name + fmt.Sprintf("%-9s ", clean(p.Phase)) +
			barStyle.Render(strings.Repeat("━", done)) + dimStyle.Render(strings.Repeat("─", barWidth-done)) +
			dimStyle.Render(fmt.Sprintf(" %3d%%  %s", 100*min(p.Done, p.Total)/p.Total, amount(p.Total, p.Unit)))
	case p.Done > 0:
		return name + fmt.Sprintf("%-9s ", clean(p.Phase)) + dimStyle.Render(amount(p.Done, p.Unit))
	}
	return name + clean(p.Phase)
}

// amount is a number with its unit.
func amount(n int64, unit string) string {
	if unit == "B" {
		return Bytes(n)
	}
	return fmt.Sprint(n)
}

// clean drops control characters: what is shown may come from elsewhere.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}

// Clean returns s without control characters, so that text from a server or a
// build cannot drive the terminal.
func Clean(s string) string { return clean(s) }

// Bytes is a size for people: "13.4 MiB".
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, exp := float64(n)/unit, 0
	for v >= unit && exp < 4 {
		v /= unit
		exp++
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTP"[exp])
}

// Bold emphasises s on a live display.
func (d *Display) Bold(s string) string {
	if d == nil || !d.color {
		return s
	}
	return boldStyle.Render(s)
}

// Duration is a time for people: "31 ms", "2.4 s", "1 min 12 s".
func Duration(t time.Duration) string {
	if t < time.Second {
		return fmt.Sprintf("%d ms", t.Milliseconds())
	}
	if t < time.Minute {
		return fmt.Sprintf("%.1f s", t.Seconds())
	}
	return fmt.Sprintf("%d min %d s", int(t.Minutes()), int(t.Seconds())%60)
}
