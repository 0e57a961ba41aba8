package evalbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// insideName is the name that the program has as the first process of a box.
const insideName = "nixspace-evalbox"

// mainCalled says that the program can be the first process of a box.
var mainCalled atomic.Bool

// Main does the work of the first process of a box, and does not return, where the
// program was started as one. Otherwise it does nothing. A program that uses a [Box],
// and the tests of one, call it before anything else.
func Main() {
	mainCalled.Store(true)
	if len(os.Args) != 1 || os.Args[0] != insideName {
		return
	}
	// What Nix may do is a property of the thread that starts it.
	runtime.LockOSThread()
	rep := firstProcess()
	if err := json.NewEncoder(os.Stdout).Encode(rep); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func firstProcess() *report {
	var s spec
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return &report{Failed: "read the orders: " + err.Error()}
	}
	if os.Getpid() != 1 {
		return &report{Failed: "this is no process namespace of its own"}
	}
	if err := furnish(&s); err != nil {
		return &report{Failed: err.Error()}
	}
	if err := restrict(&s); err != nil {
		return &report{Failed: err.Error()}
	}
	return perform(&s)
}

// separate makes that mounts of this namespace are not seen elsewhere, nor others here.
func separate() error {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if errors.Is(err, unix.EINVAL) {
		// In a chroot the root is no mount. Entering the namespace that one is in
		// already makes its own root the root.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("leave a chroot: %w", err)
		}
		ns, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("leave a chroot: %w", err)
		}
		defer unix.Close(ns)
		if err := unix.Setns(ns, unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("leave a chroot: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}

// tree is a mount that is made ready before it has a place.
type tree struct {
	path string
	fd   int
	link string // it is a symbolic link to this instead
}

// furnish gives the box its file system.
func furnish(s *spec) error {
	if s.UserNS {
		// None within: they would open parts of the kernel that a box does not need.
		_ = os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
	}
	var trees []tree
	for _, p := range s.Visible {
		t, err := cloneTree(p)
		if err != nil {
			return err
		}
		if t != nil {
			trees = append(trees, *t)
		}
	}
	var devices []tree
	for _, p := range []string{"/dev/null", "/dev/zero", "/dev/urandom"} {
		t, err := cloneTree(p)
		if err != nil || t == nil {
			return fmt.Errorf("show %s: %w", p, err)
		}
		devices = append(devices, *t)
	}
	if err := separate(); err != nil {
		return err
	}
	root, err := mountRoot(s)
	if err != nil {
		return err
	}
	for _, dir := range []string{"/dev", "/etc", "/proc", "/nix/store", "/nix/var", flakeDir, homeDir, "/tmp"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			return err
		}
	}
	for _, t := range append(trees, devices...) {
		if err := t.place(root); err != nil {
			return fmt.Errorf("show %s: %w", t.path, err)
		}
	}
	// The processes of the box and nothing else of the kernel, where it can say so.
	err = unix.Mount("proc", root+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "subset=pid")
	if err != nil {
		err = unix.Mount("proc", root+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	if err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := fill(s, root); err != nil {
		return err
	}
	return enter(root)
}

// cloneTree makes a read-only copy of the mounts at a path, without a place yet. It
// is nil where there is nothing at the path.
func cloneTree(path string) (*tree, error) {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if fi.Mode()&os.ModeSymlink != 0 { // /bin → usr/bin
		link, err := os.Readlink(path)
		return &tree{path: path, fd: -1, link: link}, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return nil, fmt.Errorf("show %s: %w", path, err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return nil, fmt.Errorf("make %s read-only: %w", path, err)
	}
	return &tree{path: path, fd: fd}, nil
}

func (t tree) place(root string) error {
	at := root + t.path
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if t.fd < 0 {
		return os.Symlink(t.link, at)
	}
	defer unix.Close(t.fd)
	var st unix.Stat_t
	if err := unix.Fstat(t.fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
	} else if err := os.WriteFile(at, nil, 0o644); err != nil {
		return err
	}
	return unix.MoveMount(t.fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// mountRoot mounts a file system in memory over some folder that every system has.
func mountRoot(s *spec) (string, error) {
	options := fmt.Sprintf("size=%d,nr_inodes=65536,mode=0755", s.Limits.Files)
	var err error
	for _, dir := range []string{"/tmp", "/run", "/var"} {
		if err = unix.Mount("evalbox", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("mount a file system in memory: %w", err)
}

// epoch is how old everything of a flake is, which it can see.
var epoch = time.Unix(1, 0)

// fill writes the flake and what Nix needs to find.
func fill(s *spec, root string) error {
	for name, content := range s.Files {
		at := filepath.Join(root, flakeDir, filepath.FromSlash(name))
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%q is no path in the flake", name)
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, content, 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(root+registryFile, []byte(s.Registry), 0o644); err != nil {
		return err
	}
	return filepath.Walk(root, func(p string, fi os.FileInfo, err error) error {
		if err != nil || p != root && isMount(root, p, s) {
			if err == nil && fi.IsDir() {
				return filepath.SkipDir
			}
			return err
		}
		if !s.UserNS {
			if err := os.Lchown(p, s.UID, s.UID); err != nil {
				return err
			}
		}
		if strings.HasPrefix(p, root+flakeDir) {
			return os.Chtimes(p, epoch, epoch)
		}
		return nil
	})
}

// isMount reports whether a path of the box is shown from the machine.
func isMount(root, p string, s *spec) bool {
	at := strings.TrimPrefix(p, root)
	if at == "/proc" || strings.HasPrefix(at, "/dev") {
		return true
	}
	for _, v := range s.Visible {
		if at == v {
			return true
		}
	}
	return false
}

// enter makes root the root directory and lets go of the old one.
func enter(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the machine's files: %w", err)
	}
	return os.Chdir("/")
}

// restrict sets limits and takes privileges away from what is started from here on.
func restrict(s *spec) error {
	for _, l := range []struct {
		what  int
		limit uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_CPU, uint64(s.Limits.CPU.Seconds())},
		{unix.RLIMIT_AS, uint64(2 * s.Limits.Memory)}, // Nix reserves more than it uses
		{unix.RLIMIT_FSIZE, uint64(s.Limits.Files)},
		{unix.RLIMIT_NOFILE, 1024},
		{unix.RLIMIT_NPROC, maxProcesses},
		{unix.RLIMIT_STACK, 64 << 20},
	} {
		hard := l.limit
		if l.what == unix.RLIMIT_CPU {
			hard += 5 // the soft limit says what it is; the hard one just kills
		}
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.limit, Max: hard}); err != nil {
			return fmt.Errorf("set a limit: %w", err)
		}
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("drop a capability: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	return nil
}

// killRest ends every process of the box but this one.
func killRest() {
	_ = unix.Kill(-1, unix.SIGKILL)
	for {
		var ws unix.WaitStatus
		if _, err := unix.Wait4(-1, &ws, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// tail keeps the beginning and the end of what is written, and stops at a limit.
type tail struct {
	head, end []byte
	total     int64
	max       int64
	full      func() // called when it stops
}

const keptTail = 32 << 10

func (t *tail) Write(p []byte) (int, error) {
	if t.total += int64(len(p)); t.total > t.max {
		t.full()
		return 0, io.ErrShortBuffer
	}
	rest := p
	if n := keptTail - len(t.head); n > 0 {
		n = min(n, len(rest))
		t.head, rest = append(t.head, rest[:n]...), rest[n:]
	}
	t.end = append(t.end, rest...)
	if over := len(t.end) - keptTail; over > 0 {
		t.end = append(t.end[:0], t.end[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.head) + string(t.end) }
