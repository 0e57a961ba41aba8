package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/journal"
)

// launch starts a program of the service with its output in a log. The channel
// is closed when all of its output is there.
func (sv *service) launch(argv []string, log *journal.Log) (*proc, <-chan struct{}, error) {
	dir := sv.dir()
	env := sv.agent.environ(map[string]string{"PWD": dir}, sv.spec.Env)
	path, err := lookup(argv[0], env["PATH"], dir)
	if err != nil {
		return nil, nil, err
	}
	out, drained, err := sv.agent.journal.Pipe(log)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = unix.Close(out) }()
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("open /dev/null", err)
	}
	defer func() { _ = unix.Close(null) }()
	p, err := sv.agent.launch(program{
		path: path, argv: argv, env: flatten(env), dir: dir,
		files: [3]int{null, out, out}, become: sv.agent.cfg.Become, family: true,
	})
	return p, drained, err
}

// start starts a program of the service with its output in the service's log.
func (sv *service) start(argv []string) (*proc, error) {
	p, drained, err := sv.launch(argv, sv.log)
	if err == nil {
		sv.drained = drained
	}
	return p, err
}

func makeDir(d nixspace.ServiceDir) error {
	if info, err := os.Stat(d.Path); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is no directory", d.Path)
	}
	if err := os.MkdirAll(filepath.Dir(d.Path), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(d.Path, fs.FileMode(d.Mode)&fs.ModePerm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(d.Path)
	if err != nil {
		return err
	}
	if want := fs.FileMode(d.Mode) & fs.ModePerm; want != 0 && info.Mode().Perm() != want {
		return os.Chmod(d.Path, want)
	}
	return nil
}

// makeDirFor makes a directory in /run, where dev cannot, and gives it to dev.
func (a *Agent) makeDirFor(d nixspace.ServiceDir) error {
	clean := filepath.Clean(d.Path)
	if !strings.HasPrefix(clean, "/run/") {
		return fmt.Errorf("%s is not in a place where services can write; use /data, /run or /tmp", d.Path)
	}
	if err := os.MkdirAll(filepath.Dir(clean), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(clean, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Lchown(clean, devUID, devGID); err != nil {
		return err
	}
	return a.asDev(func() error { return makeDir(d) })
}

func (sv *service) writeFiles() error {
	for name, content := range sv.spec.Files {
		if err := sv.agent.asDev(func() error { return writeAnew(name, content) }); err != nil {
			return fmt.Errorf("its file cannot be written: %w", err)
		}
	}
	return nil
}

// writeAnew replaces a file as a whole.
func writeAnew(name, content string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	tmp := name + ".new"
	_ = os.Remove(tmp)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}
