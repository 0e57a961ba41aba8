package guest

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/relay"
	"github.com/nixspace/nixspace/vm/wire"
)

const (
	// afterExit is how long output is still awaited once a command has ended, for
	// the last words of what it left running; what it wrote itself is always
	// delivered.
	afterExit = 200 * time.Millisecond
	// afterHangup is how long a command whose stream went away has to end.
	afterHangup = 3 * time.Second
)

// exec runs a command with its input and output on the stream. The command lives
// no longer than the stream.
func (a *Agent) exec(conn net.Conn, c nixspace.Command) error {
	prog, err := a.command(c)
	if err != nil {
		return err
	}
	var io *stdio
	if c.TTY {
		io, err = openTerminal(c.Cols, c.Rows, a.cfg.Become)
	} else {
		io, err = openPipes()
	}
	if err != nil {
		return nixspace.Errorf(nixspace.KindUnavailable, "exec_failed", "the machine cannot start another process: %w", err)
	}
	prog.files, prog.tty = io.child, c.TTY
	p, err := a.launch(prog)
	io.closeChild()
	if err != nil {
		io.close()
		return err
	}
	(&execution{p: p, io: io, conn: conn, w: wire.NewFrameWriter(conn), usage: c.Usage}).run()
	return nil
}

// command finds the program of a command and its environment.
func (a *Agent) command(c nixspace.Command) (program, error) {
	if err := checkArgv(c.Argv); err != nil {
		return program{}, err
	}
	if err := checkEnv(c.Env); err != nil {
		return program{}, err
	}
	dir := c.Dir
	if dir == "" {
		dir = a.path("/workspace")
	} else if !filepath.IsAbs(dir) {
		dir = filepath.Join(a.path("/workspace"), dir)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return program{}, nixspace.Errorf(nixspace.KindNotFound, "dir_not_found", "there is no directory %s in the machine", dir)
	}
	own := map[string]string{"PWD": dir}
	if c.TTY {
		own["TERM"] = "xterm-256color"
		if c.Term != "" {
			own["TERM"] = c.Term
		}
	}
	env := a.environ(own, c.Env)
	path, err := lookup(c.Argv[0], env["PATH"], dir)
	if err != nil {
		return program{}, err
	}
	return program{path: path, argv: c.Argv, env: flatten(env), dir: dir, become: a.cfg.Become}, nil
}

// launch starts a program and explains why it cannot be.
func (a *Agent) launch(prog program) (*proc, error) {
	p, err := a.procs.start(prog)
	if errors.Is(err, unix.ENOEXEC) {
		// A script without an interpreter line is the shell's, as everywhere.
		sh := prog
		sh.path, sh.argv = "/bin/sh", append([]string{"sh", prog.path}, prog.argv[1:]...)
		p, err = a.procs.start(sh)
	}
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, unix.ENOENT):
		return nil, nixspace.Errorf(nixspace.KindInvalid, "command_not_executable",
			"%s cannot be executed: the interpreter that it names is not in the machine", prog.path).
			WithHint("programs that were built for another system need their own interpreter, such as /lib64/ld-linux-x86-64.so.2 or what is after '#!'")
	case errors.Is(err, unix.E2BIG):
		return nil, nixspace.Errorf(nixspace.KindLimit, "command_too_long", "the arguments and variables of %s are too long", prog.path)
	default:
		return nil, nixspace.Errorf(nixspace.KindInvalid, "command_not_executable", "%s cannot be executed: %w", prog.path, err)
	}
}

// stdio is the standard input and output of a process, seen from both ends.
type stdio struct {
	child  [3]int
	in     *os.File
	out    *os.File
	err    *os.File // nil with a terminal
	tty    bool
	closed sync.Once
}

func openPipes() (*stdio, error) {
	s := &stdio{child: [3]int{-1, -1, -1}}
	for i, end := range []**os.File{&s.in, &s.out, &s.err} {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			s.closeChild()
			s.close()
			return nil, err
		}
		child, own := fds[0], fds[1]
		if i > 0 {
			child, own = own, child
		}
		// Only the agent's end may be non-blocking: programs do not expect it.
		_ = unix.SetNonblock(own, true)
		s.child[i], *end = child, os.NewFile(uintptr(own), "pipe")
	}
	return s, nil
}

func (s *stdio) closeChild() {
	for i, fd := range s.child {
		if fd >= 0 && (i == 0 || fd != s.child[0]) {
			_ = unix.Close(fd)
		}
	}
	s.child = [3]int{-1, -1, -1}
}

func (s *stdio) close() {
	s.closed.Do(func() {
		for _, f := range []*os.File{s.in, s.out, s.err} {
			if f != nil && (f == s.in || f != s.out || s.in != s.out) {
				_ = f.Close()
			}
		}
	})
}

// execution is one running command and its stream.
type execution struct {
	p    *proc
	io   *stdio
	conn net.Conn
	w    *wire.FrameWriter
	// usage says that the host wants to know what the command used.
	usage bool
}

// run tells the host that the command runs, and sees it through to its end.
func (e *execution) run() {
	if wire.Reply(e.conn, nil) != nil { // the host is gone already
		e.p.endFamily()
		_ = e.p.signal(unix.SIGKILL)
		<-e.p.done
		e.io.close()
		return
	}
	var helpers sync.WaitGroup
	input := wire.NewPipe(wire.InWindow)
	gone := make(chan struct{}) // the stream ended, or breaks the protocol
	helpers.Go(func() {
		defer close(gone)
		e.receive(input)
	})
	helpers.Go(func() { e.feed(input) })

	var outputs sync.WaitGroup
	ended := make(chan struct{}) // the process has ended
	outputs.Go(func() { e.forward(e.io.out, wire.FrameOut, ended) })
	if e.io.err != nil {
		outputs.Go(func() { e.forward(e.io.err, wire.FrameErr, ended) })
	}

	select {
	case <-e.p.done:
	case <-gone:
		e.hangup()
	}
	close(ended)
	outputs.Wait()
	if e.usage {
		_ = e.w.WriteJSON(wire.FrameStatus, e.p.usage())
	}
	_ = e.w.WriteExit(e.p.exitCode())

	// With the stream the receiver ends, and with the pipe the feeder.
	relay.Cut(e.conn)
	input.CloseRead()
	e.io.close()
	helpers.Wait()
}

// hangup ends a command that nobody listens to any more, with its whole process
// group.
func (e *execution) hangup() {
	e.p.endFamily()
	if e.io.tty {
		_ = e.p.signal(unix.SIGHUP)
	} else {
		_ = e.p.signal(unix.SIGTERM)
	}
	timer := time.NewTimer(afterHangup)
	defer timer.Stop()
	select {
	case <-e.p.done:
	case <-timer.C:
		_ = e.p.signal(unix.SIGKILL)
		<-e.p.done
	}
}

// receive takes the frames of the host until the stream ends.
func (e *execution) receive(input *wire.Pipe) {
	frames := wire.NewFrameReader(e.conn)
	for {
		t, b, err := frames.Next()
		if err != nil {
			return
		}
		switch t {
		case wire.FrameIn:
			if input.Buffered()+len(b) > wire.InWindow {
				return // the host may not send more than it has credit for
			}
			// A process that closed its input is no failure: what comes is dropped.
			if _, err := input.Write(b); err != nil {
				_ = e.w.WriteCredit(len(b))
			}
		case wire.FrameInEOF:
			input.CloseWrite(io.EOF)
		case wire.FrameResize:
			cols, rows, err := wire.DecodeResize(b)
			if err != nil {
				return
			}
			if e.io.tty {
				_ = resize(e.io.out, cols, rows)
			}
		case wire.FrameSignal:
			if sig := signalNumber(string(b)); sig != 0 {
				e.signal(sig)
			}
		default:
			return
		}
	}
}

// signal sends a signal to the command's process group or, on a terminal, to the
// one in the foreground, as a key would.
func (e *execution) signal(sig syscall.Signal) {
	if e.io.tty {
		if group, err := foreground(e.io.out); err == nil && group > 1 && group != e.p.pid {
			_ = unix.Kill(-group, sig)
			return
		}
	}
	_ = e.p.signal(sig)
}

// feed gives the input to the process, as fast as it takes it.
func (e *execution) feed(input *wire.Pipe) {
	buf := make([]byte, 16<<10)
	for {
		n, err := input.Read(buf)
		if n > 0 {
			if _, werr := e.io.in.Write(buf[:n]); werr != nil {
				input.CloseRead()
				err = werr
			}
			_ = e.w.WriteCredit(n)
		}
		if err == nil {
			continue
		}
		switch {
		case !e.io.tty:
			_ = e.io.in.Close()
		case errors.Is(err, io.EOF):
			_, _ = e.io.in.Write([]byte{4}) // a terminal's end of file is a character
		}
		return
	}
}

// forward sends what the process writes, until its output is closed.
func (e *execution) forward(f *os.File, t wire.FrameType, ended <-chan struct{}) {
	copyOutput(f, ended, func(b []byte) error { return e.w.Write(t, b) })
}

// signalNumber returns the signal of that name, with or without SIG; 0 for none.
func signalNumber(name string) syscall.Signal {
	name = strings.ToUpper(name)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	return unix.SignalNum(name)
}
