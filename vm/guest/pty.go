package guest

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/screen"
)

const (
	ringSize = 1 << 20 // bytes of output that are kept of each terminal

	// viewerWindow is how much output may be on its way to a viewer that has not
	// acknowledged it.
	viewerWindow = 256 << 10
	// patience is how long the programs on a terminal wait for its viewers when not
	// one of them acknowledges anything. Then output goes on without them.
	patience = 10 * time.Second

	inputMax    = 2 << 20 // bytes of input that programs have not taken
	viewersKept = 64      // whose input is remembered
)

// pty is a terminal with a program on it. Its output goes into a ring, from which
// each viewer takes at its own pace; its input comes from all who may type.
type pty struct {
	name, id string
	p        *proc
	io       *stdio
	began    time.Time
	announce func() // tells who watches the machine; called with the lock held

	mu         sync.Mutex
	ring       *screen.Ring
	cols, rows uint16
	viewers    map[string]*viewer // by their own names
	views      []*view            // those that are attached
	keys       int
	version    int           // of the status
	changed    chan struct{} // closed and replaced when anything is another
	ended      bool
	code       int

	queue  []input
	queued sync.Cond // the queue has something, or the terminal has ended
	length int       // bytes in the queue
}

// viewer is somebody who has looked at a terminal, and may come back.
type viewer struct {
	taken int64 // bytes of input that have arrived
	seen  time.Time
	view  *view // nil while it is away
}

type input struct {
	from *view
	data []byte
}

// wake tells all that wait for something of the terminal. The lock must be held.
func (t *pty) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// statusChanged is wake for what the status says. The lock must be held.
func (t *pty) statusChanged() {
	t.version++
	t.wake()
	t.announce()
}

func (t *pty) status() nixspace.TerminalStatus {
	process := foregroundName(t.io.out)
	t.mu.Lock()
	defer t.mu.Unlock()
	s := nixspace.TerminalStatus{
		Name: t.name, ID: t.id, Cols: t.cols, Rows: t.rows, Process: process, StartedAt: t.began,
		Viewers: make([]nixspace.TerminalViewer, 0, len(t.views)),
	}
	for _, v := range t.views {
		s.Viewers = append(s.Viewers, nixspace.TerminalViewer{Key: v.key, Who: v.who, ReadOnly: v.readOnly, Cols: v.cols, Rows: v.rows})
	}
	return s
}

// run moves input and output until the program has ended.
func (t *pty) run() {
	var typing sync.WaitGroup
	typing.Go(t.feed)
	copyOutput(t.io.out, t.p.done, func(b []byte) error {
		t.mu.Lock()
		t.ring.Append(b)
		t.wake()
		t.mu.Unlock()
		t.await()
		return nil
	})
	<-t.p.done
	t.mu.Lock()
	t.ended, t.code = true, t.p.exitCode()
	t.queued.Broadcast()
	t.statusChanged()
	t.mu.Unlock()
	t.io.close()
	typing.Wait()
}

// over reports whether the program has ended.
func (t *pty) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}

// await returns once the next output may come: when nobody who may type looks,
// when one of those who do has seen enough of what there is, or when none of them
// has acknowledged anything for a while.
func (t *pty) await() {
	var tired <-chan time.Time
	for {
		t.mu.Lock()
		free, changed := t.mayGoOn(), t.changed
		t.mu.Unlock()
		if free {
			return
		}
		if tired == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			tired = timer.C
		}
		select {
		case <-changed:
		case <-t.p.done: // what is left in the terminal is little
			return
		case <-tired:
			t.mu.Lock()
			for _, v := range t.views {
				v.stalled = true // until it acknowledges something again
			}
			t.mu.Unlock()
			return
		}
	}
}

func (t *pty) mayGoOn() bool {
	waiting := false
	for _, v := range t.views {
		if v.readOnly || v.stalled {
			continue
		}
		if t.ring.End()-v.acked < viewerWindow {
			return true
		}
		waiting = true
	}
	return !waiting
}

// feed gives the program what was typed, in the order in which it came.
func (t *pty) feed() {
	for {
		t.mu.Lock()
		for len(t.queue) == 0 && !t.ended {
			t.queued.Wait()
		}
		if t.ended {
			t.queue, t.length = nil, 0
			t.mu.Unlock()
			return
		}
		in := t.queue[0]
		t.queue = t.queue[1:]
		t.mu.Unlock()
		_, err := t.io.in.Write(in.data)
		t.mu.Lock()
		t.length -= len(in.data)
		in.from.credit += len(in.data)
		t.wake()
		t.mu.Unlock()
		if err != nil && !errors.Is(err, unix.EIO) { // the terminal was closed
			return
		}
	}
}

// resized gives the terminal the size of the smallest of those who may type.
// The lock must be held.
func (t *pty) resized() {
	var cols, rows uint16
	for _, v := range t.views {
		if v.readOnly || v.cols == 0 || v.rows == 0 {
			continue
		}
		if cols == 0 || v.cols < cols {
			cols = v.cols
		}
		if rows == 0 || v.rows < rows {
			rows = v.rows
		}
	}
	if cols == 0 || cols == t.cols && rows == t.rows {
		return
	}
	t.cols, t.rows = cols, rows
	_ = resize(t.io.out, cols, rows)
}

// hangup ends what runs on the terminal, as if its line was cut.
func (t *pty) hangup() {
	if group, err := foreground(t.io.out); err == nil && group > 1 && group != t.p.pid {
		_ = unix.Kill(-group, unix.SIGHUP)
	}
	t.p.endFamily()
	_ = t.p.signal(unix.SIGHUP)
	timer := time.NewTimer(afterHangup)
	defer timer.Stop()
	select {
	case <-t.p.done:
	case <-timer.C:
		_ = t.p.signal(unix.SIGKILL)
		<-t.p.done
	}
}

// copyOutput gives sink what a process writes, until its output is closed or sink
// fails. Something that the process left running may keep it open: once the
// process has ended, only what is there already is certain to be taken.
func copyOutput(f *os.File, ended <-chan struct{}, sink func([]byte) error) {
	stopped := make(chan struct{})
	defer close(stopped)
	go func() {
		select {
		case <-ended:
			_ = f.SetReadDeadline(time.Now().Add(afterExit))
		case <-stopped:
		}
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := f.Read(buf)
		if n > 0 && sink(buf[:n]) != nil {
			return
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			drain(f, buf, sink)
			return
		default: // io.EOF, and EIO from a terminal whose processes have all ended
			return
		}
	}
}

// drain gives sink what is in a pipe or terminal now. It is bounded by what the
// largest pipe can hold, since others may go on writing.
func drain(f *os.File, buf []byte, sink func([]byte) error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	for left := 1 << 20; left > 0; {
		n := 0
		// Control and not Read: the deadline has passed, and would refuse it.
		if err := raw.Control(func(fd uintptr) { n, _ = unix.Read(int(fd), buf) }); err != nil || n <= 0 {
			return
		}
		if sink(buf[:n]) != nil {
			return
		}
		left -= n
	}
}
