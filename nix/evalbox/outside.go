package evalbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/cgroup"
)

// boxUID is whom a box's processes are on the machine when root makes it. Nobody has
// this number: it is above the ranges that systems give out.
const boxUID = 0x70000001

// maxProcesses bounds the processes and threads in a box.
const maxProcesses = 256

// Probe reports whether this machine can make a box. It fails with code
// [CodeUnavailable] and says what is missing.
func (b *Box) Probe(ctx context.Context) error {
	s := b.spec(Request{})
	s.Task = taskProbe
	_, err := b.run(ctx, s)
	return err
}

// run makes a box, has it do a task and returns its report. When it returns,
// nothing of the box is left.
func (b *Box) run(ctx context.Context, s *spec) (*report, error) {
	if !mainCalled.Load() {
		return nil, errors.New("make a box: the program does not call evalbox.Main")
	}
	if err := b.turns.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	defer b.turns.Release(1)
	dirs, err := b.visible()
	if err != nil {
		return nil, err
	}
	for _, t := range s.Trees {
		dirs = append(dirs, t.Path)
	}
	s.Visible, s.UID = dirs, boxUID
	root := os.Geteuid() == 0
	if b.cfg.NoUserNamespace && !root {
		return nil, unavailable(errors.New("without a user namespace only root can make one"))
	}
	if !b.cfg.NoUserNamespace {
		s.UserNS = true
		rep, err := b.once(ctx, s)
		// A chroot has no user namespaces, not even root's; some systems switch them off.
		var setup *setupError
		refused := errors.As(err, &setup) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EACCES)
		if !refused {
			return rep, err
		}
		if !root {
			return nil, unavailable(err)
		}
	}
	s.UserNS = false
	rep, err := b.once(ctx, s)
	var setup *setupError
	if errors.As(err, &setup) || errors.Is(err, syscall.EPERM) {
		return nil, unavailable(err)
	}
	return rep, err
}

func unavailable(err error) error {
	return nixspace.Errorf(nixspace.KindUnavailable, CodeUnavailable, "flakes of users cannot be evaluated here, because no sandbox can be made for them: %w", err).
		WithHint("allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces), or run NixSpace as root; in a container it needs --privileged")
}

// setupError says that the inside of a box could not be set up.
type setupError struct{ what string }

func (e *setupError) Error() string { return e.what }

// errTooLong is the cause when the wall limit has passed.
var errTooLong = errors.New("the time limit has passed")

func (b *Box) once(ctx context.Context, s *spec) (*report, error) {
	in, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.Limits.Wall, errTooLong)
	defer cancel()
	group := b.group(s.Limits)
	defer func() {
		// Its processes are gone already, with the process namespace.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if err := group.Remove(end); err != nil {
			b.log.Warn("cannot remove the control group of an evaluation", "error", err)
		}
	}()

	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{insideName}
	cmd.Env = []string{"GOMAXPROCS=2"}
	cmd.Dir = "/"
	stdout := &limited{max: s.Limits.Result*3/2 + 1<<20} // base64 takes more
	stderr := &limited{max: 64 << 10}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	if s.UserNS {
		userNamespace(cmd.SysProcAttr)
	}
	cmd.WaitDelay = 5 * time.Second

	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		// The death signal is sent when the thread ends that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("make a box: %w", err)
	}
	// It waits for its orders, so it is under the limits before it does anything.
	if err := group.Add(cmd.Process.Pid); err != nil {
		b.log.Warn("an evaluation runs without a control group", "error", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // and with it all that is in its namespace
	_, writeErr := stdin.Write(in)
	_ = stdin.Close()
	err = <-ended
	stop()
	if ctx.Err() != nil {
		if errors.Is(context.Cause(ctx), errTooLong) {
			return nil, limitError("it takes longer than %s", s.Limits.Wall)
		}
		return nil, context.Cause(ctx)
	}
	if stdout.over {
		return nil, limitError("what it comes to is larger than %d MiB", s.Limits.Result>>20)
	}
	var rep report
	if err != nil || writeErr != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
			return nil, limitError("it wants more than %d MiB of memory", s.Limits.Memory>>20) // nobody else kills it
		}
		return nil, fmt.Errorf("the box ended early: %w: %s", errors.Join(err, writeErr), strings.TrimSpace(stderr.buf.String()))
	}
	if err := json.Unmarshal(stdout.buf.Bytes(), &rep); err != nil {
		return nil, fmt.Errorf("read what the box says: %w", err)
	}
	return &rep, rep.error(s)
}

// userNamespace makes the first process root of a user namespace, and nobody on the
// machine: a user that owns nothing or, where root does not make it, its maker.
func userNamespace(a *syscall.SysProcAttr) {
	a.Cloneflags |= syscall.CLONE_NEWUSER
	uid, gid := os.Getuid(), os.Getgid()
	if os.Geteuid() == 0 {
		uid, gid = boxUID, boxUID
		a.GidMappingsEnableSetgroups = true
	}
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	a.Credential = &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: os.Geteuid() != 0}
}

// group makes a control group for one evaluation, where there are any.
func (b *Box) group(l Limits) *cgroup.Group {
	g, err := cgroup.Create("eval-"+strings.ToLower(rand.Text()[:12]), cgroup.Limits{CPUs: 1, Memory: l.Memory, PIDs: maxProcesses})
	if err != nil {
		b.warned.Do(func() {
			b.log.Warn("evaluations of flakes run without a control group; other limits hold", "error", err)
		})
		return &cgroup.Group{}
	}
	return g
}

func limitError(format string, args ...any) error {
	return nixspace.Errorf(nixspace.KindLimit, CodeLimit, "the flake cannot be evaluated: "+format, args...).
		WithHint("look for endless recursion, or for something that it builds up without need")
}

// limited keeps what is written, up to a size, and notes whether there was more.
type limited struct {
	buf  bytes.Buffer
	max  int64
	over bool
	full func() // called when there is more; may be nil
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(l.buf.Len()+len(p)) > l.max {
		l.over = true
		if l.full != nil {
			l.full()
		}
		return 0, io.ErrShortBuffer
	}
	return l.buf.Write(p)
}
