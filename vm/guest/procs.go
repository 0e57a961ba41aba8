package guest

import (
	"errors"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

// procs starts processes and waits for them.
//
// Who is the first process of a system inherits every orphan and must reap it,
// but a plain wait for any child would also take the statuses of the processes
// that the agent itself waits for, and would free a process id while somebody is
// about to send it a signal. So there is one place that waits: it first looks
// which child has ended without reaping it, and then reaps it under the lock that
// starting and signalling take too. A process id that is in the table is
// therefore never one that the kernel may give to another process.
//
// This is also why package os/exec has no place here: it would reap by itself.
type procs struct {
	all bool

	mu     sync.Mutex
	live   map[int]*proc
	closed bool
	kick   chan struct{} // a process was started, or closed was set
}

// proc is one process that the agent started, the leader of its own session and
// process group.
type proc struct {
	procs  *procs
	pid    int
	family bool // its process group is killed when it ends

	began  time.Time
	done   chan struct{} // closed when status, used and ended are set
	status syscall.WaitStatus
	used   syscall.Rusage // by it and the descendants that it waited for
	ended  time.Time
}

// program is what a process runs.
type program struct {
	path   string
	argv   []string
	env    []string
	dir    string
	files  [3]int // its standard input, output and error
	tty    bool   // files[0] becomes its controlling terminal
	become bool   // it runs as the user dev
	family bool   // see proc
}

func newProcs(all bool) *procs {
	ps := &procs{all: all, live: map[int]*proc{}, kick: make(chan struct{}, 1)}
	if all {
		go ps.reapAll()
	}
	return ps
}

// start runs a program. The error is the kernel's.
func (ps *procs) start(p program) (*proc, error) {
	attr := &syscall.SysProcAttr{Setsid: true, Setctty: p.tty, Ctty: 0}
	if p.become {
		attr.Credential = &syscall.Credential{Uid: devUID, Gid: devGID, Groups: []uint32{devGID}}
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.closed {
		return nil, errors.New("the agent ends")
	}
	began := time.Now()
	pid, err := syscall.ForkExec(p.path, p.argv, &syscall.ProcAttr{
		Dir: p.dir, Env: p.env, Sys: attr,
		Files: []uintptr{uintptr(p.files[0]), uintptr(p.files[1]), uintptr(p.files[2])},
	})
	if err != nil {
		return nil, err
	}
	pr := &proc{procs: ps, pid: pid, family: p.family, began: began, done: make(chan struct{})}
	ps.live[pid] = pr
	if ps.all {
		ps.wake()
	} else {
		go func() {
			if waitEnded(unix.P_PID, pid) == pid {
				ps.reap(pid)
			}
		}()
	}
	return pr, nil
}

func (ps *procs) wake() {
	select {
	case ps.kick <- struct{}{}:
	default:
	}
}

// reapAll reaps every child, own or inherited. Without any child it waits for one
// to be started: a process without children inherits none.
func (ps *procs) reapAll() {
	for {
		pid := waitEnded(unix.P_ALL, 0)
		if pid > 0 {
			ps.reap(pid)
			continue
		}
		<-ps.kick
		ps.mu.Lock()
		closed := ps.closed
		ps.mu.Unlock()
		if closed {
			return
		}
	}
}

// siginfo is the kernel's siginfo_t as waitid fills it, see waitid(2).
type siginfo struct {
	signo, errno, code, _ int32
	pid                   int32
	_                     [128 - 20]byte
}

// waitEnded waits until a child has ended and returns its id without reaping it;
// 0 when there is none.
func waitEnded(which, id int) int {
	for {
		var info siginfo
		err := unix.Waitid(which, id, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case err == nil:
			return int(info.pid)
		case !errors.Is(err, unix.EINTR):
			return 0
		}
	}
}

// reap reaps a child that has ended.
func (ps *procs) reap(pid int) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.live[pid]
	if p != nil && p.family {
		// The unreaped leader still holds the group's id.
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	var status syscall.WaitStatus
	var used syscall.Rusage
	// Without waiting: a program that could not be executed was a child too, and
	// was reaped by the one who tried to start it.
	got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, &used)
	if got != pid || err != nil || p == nil {
		return
	}
	delete(ps.live, pid)
	p.status, p.used, p.ended = status, used, time.Now()
	close(p.done)
}

// signal sends a signal to the process group. It does nothing once the process
// was reaped.
func (p *proc) signal(sig syscall.Signal) error {
	p.procs.mu.Lock()
	defer p.procs.mu.Unlock()
	if p.procs.live[p.pid] != p {
		return nil
	}
	return unix.Kill(-p.pid, sig)
}

// endFamily makes the end of the process the end of its process group too.
func (p *proc) endFamily() {
	p.procs.mu.Lock()
	defer p.procs.mu.Unlock()
	p.family = true
}

// exitCode returns the exit code as a shell has it: 128 plus the number of a
// signal. It is valid once done is closed.
func (p *proc) exitCode() int {
	if p.status.Signaled() {
		return 128 + int(p.status.Signal())
	}
	return p.status.ExitStatus()
}

// blockSize is the unit in which the kernel counts what went to and from disks.
const blockSize = 512

// usage returns what the process used. It is valid once done is closed.
func (p *proc) usage() nixspace.Usage {
	return nixspace.Usage{
		Wall: p.ended.Sub(p.began), User: time.Duration(p.used.Utime.Nano()), System: time.Duration(p.used.Stime.Nano()),
		Memory: p.used.Maxrss << 10, Read: p.used.Inblock * blockSize, Written: p.used.Oublock * blockSize,
	}
}

// describe says how the process ended, for people.
func (p *proc) describe() string {
	if p.status.Signaled() {
		return "was ended by signal " + unix.SignalName(p.status.Signal())
	}
	return "exited with status " + itoa(p.status.ExitStatus())
}

// killAll kills every process that the agent started, with its group.
func (ps *procs) killAll() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for pid := range ps.live {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
}

// close kills every process that the agent started and waits for them. No process
// can be started afterwards.
func (ps *procs) close() {
	ps.mu.Lock()
	ps.closed = true
	live := make([]*proc, 0, len(ps.live))
	for _, p := range ps.live {
		live = append(live, p)
	}
	ps.mu.Unlock()
	ps.killAll()
	for _, p := range live {
		<-p.done
	}
	ps.wake()
}
