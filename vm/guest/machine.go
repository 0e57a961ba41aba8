package guest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// RunMachine is the whole life of a microVM's first process: it sets the guest up
// as far as it can without the host, serves the host over the virtio-serial ports
// and powers the machine off when the host has shut it down. It does not return.
func RunMachine() {
	early := mountEarly()
	m := &machine{}
	a := newAgent(Config{Become: true, ReapAll: true}, m)
	m.agent = a
	a.journal.Open("").Tee(os.Stderr)
	for _, err := range []error{early, loadModules("/modules"), raiseLimits(), loopbackUp(), setSysctls()} {
		if err != nil {
			a.log.Error("set up", "error", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-a.Down()
		cancel()
	}()
	s := &portServer{agent: a, open: openPort}
	s.run(ctx)
	powerOff(a.log)
}

func powerOff(log *slog.Logger) {
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		log.Error("power off", "error", err)
	}
	// A machine that cannot switch itself off is ended by its host.
	select {}
}

// mountEarly mounts what every program expects, the agent first of all.
func mountEarly() error {
	const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	// The kernel makes the first root directory as one of memory, for everybody.
	errs := []error{os.Chmod("/", 0o755)}
	for _, m := range []struct {
		kind, target string
		flags        uintptr
		data         string
	}{
		{"proc", "/proc", safe, ""},
		{"sysfs", "/sys", safe, ""},
		{"devtmpfs", "/dev", unix.MS_NOSUID, "mode=0755"},
		{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"},
		{"tmpfs", "/dev/shm", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"tmpfs", "/tmp", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"tmpfs", "/run", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := unix.Mount(m.kind, m.target, m.kind, m.flags, m.data); err != nil && !errors.Is(err, unix.EBUSY) {
			errs = append(errs, fmt.Errorf("mount %s: %w", m.target, err))
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, "/dev/"+name); err != nil && !errors.Is(err, fs.ErrExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// loadModules loads kernel modules in the order of the file dir/order, whose
// lines are file names, and removes them: the first root file system is memory.
func loadModules(dir string) error {
	order, err := os.ReadFile(filepath.Join(dir, "order"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // everything is built into the kernel
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range strings.Fields(string(order)) {
		file := filepath.Join(dir, filepath.Base(name))
		if err := loadModule(file); err != nil {
			errs = append(errs, fmt.Errorf("load module %s: %w", name, err))
		}
		_ = os.Remove(file)
	}
	return errors.Join(errs...)
}

func loadModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// raiseLimits allows programs more open files than the kernel's first process
// gets by default.
func raiseLimits() error {
	return os.NewSyscallError("setrlimit", syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 16384, Max: 524288}))
}

// loopbackUp sets the loopback interface up; the kernel gives it its addresses.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("set loopback up", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
}

func setSysctls() error {
	var errs []error
	for name, value := range map[string]string{
		"net/ipv4/ip_unprivileged_port_start": "0",      // dev may serve on port 80
		"fs/inotify/max_user_watches":         "131072", // development servers watch whole trees
	} {
		errs = append(errs, os.WriteFile("/proc/sys/"+name, []byte(value), 0))
	}
	return errors.Join(errs...)
}

// machine is the system of an agent that owns it.
type machine struct {
	agent *Agent

	mu      sync.Mutex
	mounted *wire.MountRequest
}

func (m *machine) setTime(t time.Time) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	return os.NewSyscallError("set clock", unix.ClockSettime(unix.CLOCK_REALTIME, &ts))
}

// quiesce ends all processes, closes the logs and unmounts the disk.
func (m *machine) quiesce(ctx context.Context) error {
	endAll(ctx)
	m.agent.journal.Close()
	unix.Sync()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mounted == nil || m.mounted.Disk == "" {
		return nil
	}
	for _, dir := range boundDirs {
		if err := unmount(dir.target); err != nil {
			return err
		}
	}
	return unmount(diskDir)
}

// endAll asks every process in the guest to end and kills those that do not.
func endAll(ctx context.Context) {
	_ = unix.Kill(-1, unix.SIGTERM)
	_ = unix.Kill(-1, unix.SIGHUP) // shells ignore the first
	gentle, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for processes() > 0 && sleep(gentle, 10*time.Millisecond) {
	}
	_ = unix.Kill(-1, unix.SIGKILL)
	// A process that is killed goes as soon as it leaves the kernel.
	for range 200 {
		if processes() == 0 || !sleep(context.Background(), 10*time.Millisecond) {
			return
		}
	}
}

// processes counts the processes of the guest but for this one and the kernel's.
func processes() int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid <= 2 {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// The name is in parentheses and may hold anything; the parent is the
		// second field behind it.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 && fields[1] != "2" {
			n++
		}
	}
	return n
}

// unmount unmounts a file system whose last users may still be on their way out.
// One that stays in use is made read-only, which is as good for what is on it.
func unmount(dir string) error {
	var err error
	for range 100 {
		if err = unix.Unmount(dir, 0); err == nil || errors.Is(err, unix.EINVAL) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) {
			break
		}
		sleep(context.Background(), 20*time.Millisecond)
	}
	if rerr := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); rerr == nil {
		return nil
	}
	return nixspace.Errorf(nixspace.KindUnavailable, "disk_busy", "%s cannot be unmounted: %w", dir, err)
}
