package guest

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/screen"
	"github.com/nixspace/nixspace/vm/wire"
)

const (
	ptysMax  = 32 // terminals on which something runs
	endsKept = 16 // terminals that have ended and whose viewers may come back for the rest
)

// ptys are the terminals that outlive those who look at them.
type ptys struct {
	agent *Agent

	mu      sync.Mutex
	all     map[string]*pty
	ended   []*pty
	changed chan struct{} // closed and replaced when a terminal came, went or changed
	running sync.WaitGroup
	closed  bool
}

func newPtys(a *Agent) *ptys {
	return &ptys{agent: a, all: map[string]*pty{}, changed: make(chan struct{})}
}

// terminalName reports whether a terminal may have this name.
func terminalName(s string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return s != "" && len(s) <= 32 && strings.Trim(s, plain+"._-") == "" && strings.IndexByte(plain, s[0]) >= 0
}

// get returns the terminal that a viewer asks for; it starts one where there is
// none.
func (ps *ptys) get(r nixspace.TerminalRequest) (t *pty, created bool, err error) {
	if !terminalName(r.Name) {
		return nil, false, nixspace.Errorf(nixspace.KindInvalid, "terminal_invalid", "%q is no name of a terminal", r.Name).
			WithHint("use up to 32 letters, digits, dots and hyphens")
	}
	if r.Viewer == "" || len(r.Viewer) > 64 {
		return nil, false, nixspace.Errorf(nixspace.KindInvalid, "viewer_invalid", "a viewer needs a name of at most 64 bytes")
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	// One that has just ended may still be on the list.
	if t := ps.all[r.Name]; t != nil && (t.id == r.ID || !t.over()) {
		return t, false, nil
	}
	for _, t := range ps.ended {
		if t.name == r.Name && t.id == r.ID {
			return t, false, nil
		}
	}
	if len(r.Command.Argv) == 0 {
		return nil, false, nixspace.Errorf(nixspace.KindNotFound, "terminal_not_found", "there is no terminal %q", r.Name)
	}
	if len(ps.all) >= ptysMax || ps.closed {
		return nil, false, nixspace.Errorf(nixspace.KindLimit, "terminals_too_many", "the machine has %d terminals already", len(ps.all)).
			WithHint("close one first")
	}
	if t, err = ps.agent.startPty(r); err != nil {
		return nil, false, err
	}
	ps.all[t.name] = t
	ps.poke()
	ps.running.Go(func() {
		t.run()
		ps.over(t)
	})
	return t, true, nil
}

// over takes a terminal that has ended off the list.
func (ps *ptys) over(t *pty) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.all[t.name] == t {
		delete(ps.all, t.name)
	}
	ps.ended = append(ps.ended, t)
	if len(ps.ended) > endsKept {
		ps.ended = slices.Delete(ps.ended, 0, 1)
	}
	ps.poke()
}

// poke tells who watches. The lock must be held.
func (ps *ptys) poke() {
	close(ps.changed)
	ps.changed = make(chan struct{})
}

func (ps *ptys) news() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.poke()
}

// statuses returns how the terminals stand, by name, and a channel that is closed
// at the next change.
func (ps *ptys) statuses() ([]nixspace.TerminalStatus, <-chan struct{}) {
	ps.mu.Lock()
	changed := ps.changed
	all := make([]*pty, 0, len(ps.all))
	for _, t := range ps.all {
		all = append(all, t)
	}
	ps.mu.Unlock()
	list := make([]nixspace.TerminalStatus, 0, len(all))
	for _, t := range all {
		list = append(list, t.status())
	}
	slices.SortFunc(list, func(a, b nixspace.TerminalStatus) int {
		if c := a.StartedAt.Compare(b.StartedAt); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list, changed
}

// hangUp ends what runs on a terminal.
func (ps *ptys) hangUp(conn net.Conn, r wire.CloseTerminalRequest) error {
	ps.mu.Lock()
	t := ps.all[r.Name]
	ps.mu.Unlock()
	if t == nil {
		return nixspace.Errorf(nixspace.KindNotFound, "terminal_not_found", "there is no terminal %q", r.Name)
	}
	t.hangup()
	return wire.Reply(conn, nil)
}

// close waits until nothing runs on a terminal any more; it must be ended by
// others.
func (ps *ptys) close() {
	ps.mu.Lock()
	ps.closed = true
	ps.mu.Unlock()
	ps.running.Wait()
}

// startPty starts a command on a terminal of its own.
func (a *Agent) startPty(r nixspace.TerminalRequest) (*pty, error) {
	c := r.Command
	c.TTY = true
	prog, err := a.command(c)
	if err != nil {
		return nil, err
	}
	cols, rows := r.Cols, r.Rows
	if cols == 0 || rows == 0 {
		cols, rows = 80, 24
	}
	io, err := openTerminal(cols, rows, a.cfg.Become)
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "exec_failed", "the machine cannot open another terminal: %w", err)
	}
	prog.files, prog.tty = io.child, true
	p, err := a.launch(prog)
	io.closeChild()
	if err != nil {
		io.close()
		return nil, err
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	t := &pty{
		name: r.Name, id: hex.EncodeToString(id[:]), p: p, io: io, began: time.Now().UTC(), announce: a.ptys.news,
		ring: screen.New(ringSize), cols: cols, rows: rows, viewers: map[string]*viewer{}, changed: make(chan struct{}),
	}
	t.queued.L = &t.mu
	return t, nil
}

// foregroundName returns the name of the program in the foreground of a terminal.
func foregroundName(master *os.File) string {
	group, err := foreground(master)
	if err != nil || group <= 0 {
		return ""
	}
	b, err := os.ReadFile("/proc/" + itoa(group) + "/comm")
	if err != nil {
		return ""
	}
	return nixspace.OneLine(strings.TrimSpace(string(b)), 32)
}

// redraw makes the programs in the foreground draw their screen again.
func redraw(master *os.File) {
	if group, err := foreground(master); err == nil && group > 1 {
		_ = unix.Kill(-group, unix.SIGWINCH)
	}
}
