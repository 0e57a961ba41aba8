package guest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/journal"
)

// restoredHook is the program of a workspace that runs after each restore, before
// anybody is let in: what keeps identities or random numbers in memory can make
// them new there.
const restoredHook = "/workspace/.nixspace/after-restore"

// hookTime bounds the hook.
const hookTime = time.Minute

// sync writes the disk's file system to the disk.
func (a *Agent) sync() error {
	f, err := os.Open(a.path(diskDir))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}

// restored runs the workspace's hook as dev. What it says is in the log of the
// agent.
func (a *Agent) restored() error {
	hook := a.path(restoredHook)
	err := a.asDev(func() error { return executable(hook) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	failed := func(err error) error {
		return nixspace.Errorf(nixspace.KindInvalid, "hook_failed", "the workspace's hook .nixspace/after-restore %w", err)
	}
	if err != nil {
		return failed(fmt.Errorf("cannot be run: %w", err))
	}
	ctx, cancel := context.WithTimeout(context.Background(), hookTime)
	defer cancel()
	out := journal.NewLog()
	fd, drained, err := a.journal.Pipe(out)
	if err != nil {
		return err
	}
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		_ = unix.Close(fd)
		return os.NewSyscallError("open /dev/null", err)
	}
	dir := a.path("/workspace")
	p, err := a.launch(program{
		path: hook, argv: []string{hook}, env: flatten(a.environ(map[string]string{"PWD": dir})), dir: dir,
		files: [3]int{null, fd, fd}, become: a.cfg.Become, family: true,
	})
	_, _ = unix.Close(fd), unix.Close(null)
	if err != nil {
		return failed(fmt.Errorf("cannot be run: %w", err))
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.signal(unix.SIGKILL)
		<-p.done
		return failed(fmt.Errorf("was not done in %v", hookTime))
	}
	select {
	case <-drained:
	case <-ctx.Done():
	}
	said := out.Last(5, 400)
	a.log.Info("after-restore hook", "result", p.describe(), "output", said)
	if p.exitCode() != 0 {
		return failed(fmt.Errorf("%s; it said last: %s", p.describe(), said))
	}
	return nil
}
