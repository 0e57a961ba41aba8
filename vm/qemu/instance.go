package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/wire"
)

// instance is one running QEMU.
type instance struct {
	id        string
	memory    vm.Memory
	cmd       *exec.Cmd
	monitor   *monitor // set before setUp is closed; nil when QEMU never answered
	transport *transport
	setUp     chan struct{}
	console   *tail // what the guest's kernel printed last
	stderr    *tail // what QEMU itself complained about last
	outputs   sync.WaitGroup

	mu       sync.Mutex
	stopping bool   // Stop was called
	shutdown string // reason of the SHUTDOWN event; empty when there was none
	err      error

	saving   sync.Mutex  // one at a time
	migrated chan string // how a migration ended: saving and loading are migrations

	done chan struct{}
}

// tailSize is how much of a machine's output goes into errors.
const tailSize = 4096

// start runs QEMU and waits until its monitor answers.
func start(ctx context.Context, binary, accel string, c clock, spec vm.Spec) (_ *instance, err error) {
	var own, theirs closers // our ends of the sockets; what only QEMU needs
	defer theirs.close()
	defer func() {
		if err != nil {
			own.close()
		}
	}()
	cmd := exec.Command(binary)
	give := func(f *os.File) int {
		theirs = append(theirs, f)
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		return 2 + len(cmd.ExtraFiles)
	}
	socket := func() (*net.UnixConn, int, error) {
		ours, other, err := socketPair()
		if err != nil {
			return nil, 0, err
		}
		own = append(own, ours)
		return ours, give(other), nil
	}
	var fd fds
	var data, control, mon *net.UnixConn
	if data, fd.data, err = socket(); err != nil {
		return nil, err
	}
	if control, fd.control, err = socket(); err != nil {
		return nil, err
	}
	if mon, fd.monitor, err = socket(); err != nil {
		return nil, err
	}
	open := func(path string, flags int) (int, error) {
		f, err := os.OpenFile(path, flags|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return 0, err
		}
		return give(f), nil
	}
	if spec.State == "" {
		if fd.kernel, err = open(spec.Kernel, os.O_RDONLY); err != nil {
			return nil, fmt.Errorf("open the guest kernel: %w", err)
		}
		if fd.initramfs, err = open(spec.Initramfs, os.O_RDONLY); err != nil {
			return nil, fmt.Errorf("open the initramfs: %w", err)
		}
	}
	if spec.Memory.Path != "" {
		flags := os.O_RDWR
		if spec.State == "" {
			flags |= os.O_CREATE | os.O_TRUNC // memory that nobody wrote to
		}
		if fd.memory, err = open(spec.Memory.Path, flags); err != nil {
			return nil, fmt.Errorf("open the guest's memory: %w", err)
		}
		if err := ownMemory(theirs[len(theirs)-1].(*os.File), spec); err != nil {
			return nil, fmt.Errorf("prepare the guest's memory: %w", err)
		}
	}
	state := 0
	if spec.State != "" {
		if state, err = open(spec.State, os.O_RDONLY); err != nil {
			return nil, unusable(fmt.Errorf("open the saved state: %w", err))
		}
	}
	for i, d := range append(append([]vm.Drive{}, spec.Layers...), spec.Disks...) {
		flags := os.O_RDONLY
		if i >= len(spec.Layers) {
			flags = os.O_RDWR
		}
		n, err := open(d.Path, flags)
		if err != nil {
			return nil, fmt.Errorf("open drive %s: %w", d.Serial, err)
		}
		fd.drives = append(fd.drives, n)
	}
	cmd.Args = append(cmd.Args, arguments(spec, accel, c, fd)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.Dir = "/"

	in := &instance{
		id: spec.ID, memory: spec.Memory, cmd: cmd, setUp: make(chan struct{}), done: make(chan struct{}), migrated: make(chan string, 1),
		console: newTail(tailSize), stderr: newTail(tailSize),
	}
	if err := in.run(spec, &theirs); err != nil {
		return nil, err
	}
	theirs.close()
	if spec.Limit != nil {
		if err := spec.Limit(in.PID()); err != nil {
			close(in.setUp)
			in.kill()
			return nil, fmt.Errorf("limit the machine: %w", err)
		}
	}
	in.transport = &transport{link: wire.NewLink(control, data), machine: in}
	in.monitor, err = dialMonitor(ctx, mon, in.event)
	close(in.setUp)
	if err != nil {
		in.kill()
		if cause := in.Err(); ctx.Err() == nil && cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	if state != 0 {
		if err := in.load(ctx, state, spec.Commit); err != nil {
			_ = in.Stop(ctx)
			return nil, err
		}
	}
	return in, nil
}

// run starts the process and follows it until it ends.
func (in *instance) run(spec vm.Spec, theirs *closers) error {
	for _, o := range []struct {
		file *io.Writer
		to   io.Writer
	}{{&in.cmd.Stdout, tee(in.console, spec.Console)}, {&in.cmd.Stderr, in.stderr}} {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		*o.file = w
		*theirs = append(*theirs, w)
		in.outputs.Go(func() {
			defer r.Close()
			_, _ = io.Copy(o.to, r) // ends when QEMU does
		})
	}
	in.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: credential(spec.ID),
	}
	started := make(chan error)
	go func() {
		// The kernel sends the signal of a parent's death when the *thread* that
		// forked ends, and "no new privileges" belongs to a thread too: so one
		// thread serves this process for its whole life and then ends with this
		// goroutine, which never unlocks it.
		runtime.LockOSThread()
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			started <- fmt.Errorf("give up privileges: %w", err)
			return
		}
		err := in.cmd.Start()
		started <- err
		if err == nil {
			in.wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start QEMU: %w", err)
	}
	return nil
}

// wait follows the process to its end and finds out why it ended.
func (in *instance) wait() {
	exit := in.cmd.Wait()
	in.outputs.Wait()
	<-in.setUp
	if in.monitor != nil {
		<-in.monitor.done // all events have arrived
	}
	in.mu.Lock()
	switch {
	case in.stopping:
	case in.shutdown == "guest-shutdown" && exit == nil:
	case in.shutdown == "guest-reset" || in.shutdown == "guest-panic":
		in.err = in.failure("machine_crashed", "the guest's kernel crashed", in.console)
	default:
		what := "ended without a reason"
		if exit != nil {
			what = exit.Error()
		}
		in.err = in.failure("vmm_died", "QEMU ended unexpectedly ("+what+")", in.stderr)
	}
	in.mu.Unlock()
	close(in.done)
}

func (in *instance) failure(code, what string, output *tail) error {
	e := nixspace.Errorf(nixspace.KindUnavailable, code, "%s", what)
	if last := output.String(); last != "" {
		e.Message += "; it said last: " + last
	}
	return e
}

func (in *instance) event(e event) {
	var data struct {
		Reason string `json:"reason"` // of SHUTDOWN
		Status string `json:"status"` // of MIGRATION
	}
	if json.Unmarshal(e.Data, &data) != nil {
		return
	}
	switch {
	case e.Name == "SHUTDOWN":
		in.mu.Lock()
		in.shutdown = data.Reason
		in.mu.Unlock()
	case e.Name == "MIGRATION" && (data.Status == "completed" || data.Status == "failed" || data.Status == "cancelled"):
		select {
		case in.migrated <- data.Status:
		default: // nobody asked for it
		}
	}
}

func (in *instance) ID() string              { return in.id }
func (in *instance) PID() int                { return in.cmd.Process.Pid }
func (in *instance) Transport() vm.Transport { return in.transport }
func (in *instance) Done() <-chan struct{}   { return in.done }

func (in *instance) Err() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

func (in *instance) kill() {
	_ = in.cmd.Process.Kill() // fails only when it has ended
	<-in.done
}

func (in *instance) Stop(ctx context.Context) error {
	in.mu.Lock()
	in.stopping = true
	in.mu.Unlock()
	// QEMU writes its disks through on "quit"; being killed loses nothing that
	// the guest was told is on disk, so that is what follows when it hangs.
	if _, err := in.monitor.command(ctx, "quit", nil); err == nil || errors.Is(err, errMonitorClosed) {
		select {
		case <-in.done:
		case <-ctx.Done():
		}
	}
	in.kill()
	_ = in.transport.link.Close() // nobody is left who could say anything
	in.monitor.close()
	return nil
}

// credential returns a user id of the machine's own, so that a guest that broke
// out of QEMU could touch no other machine and no file of anybody. It returns
// nil, which keeps the caller's, where the caller is not root.
func credential(id string) *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	uid := machineUser(id)
	if !userMapped(uid) {
		uid = 65534 // nobody
	}
	return &syscall.Credential{Uid: uid, Gid: uid}
}

// closers are files to close once.
type closers []io.Closer

func (c *closers) close() {
	for _, f := range *c {
		f.Close()
	}
	*c = nil
}

// socketPair returns a connected pair of sockets: one for us, one to hand on.
func socketPair() (*net.UnixConn, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	other := os.NewFile(uintptr(pair[1]), "socket")
	f := os.NewFile(uintptr(pair[0]), "socket")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		other.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), other, nil
}
