package volume

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

// Options say how [Open] prepares a pool.
type Options struct {
	// Size is the size of the file system that Open makes, in MiB; most of what is
	// free on the disk when 0. The file is sparse: it takes what disks in it take.
	Size int64
	// Plain forbids to make and mount a file system.
	Plain bool
	Log   *slog.Logger
}

// minPool is the smallest file system that mkfs.xfs makes, in MiB.
const minPool = 320

// Open prepares the pool in the folder dir, and finds what an earlier process
// left mounted there. When it must make a file system, that lies in the file
// <dir>.xfs. Calls for one folder must not overlap.
func Open(ctx context.Context, dir string, opts Options) (*Pool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	mounted, err := isMounted(dir)
	if err != nil {
		return nil, err
	}
	if mounted {
		p := At(dir)
		p.sweep()
		return p, nil
	}
	image := dir + ".xfs"
	_, err = os.Stat(image)
	made := err == nil
	if !made && (opts.Plain || canReflink(dir)) {
		p := At(dir)
		p.sweep()
		return p, nil
	}
	if why := cannotMount(); why != "" {
		if made {
			return nil, nixspace.Errorf(nixspace.KindUnavailable, "volumes_not_mounted",
				"the sessions' disks lie in %s, which cannot be mounted: %s", image, why).
				WithHint("start nixspace as root, as when the file was made")
		}
		return plain(dir, why, opts.Log)
	}
	if !made {
		if err := makeImage(ctx, image, opts.Size); err != nil {
			if ctx.Err() != nil || nixspace.ErrorCode(err) == "disk_full" {
				return nil, err
			}
			return plain(dir, err.Error(), opts.Log)
		}
	}
	if err := mountImage(image, dir); err != nil {
		if made {
			return nil, nixspace.Errorf(nixspace.KindUnavailable, "volumes_not_mounted",
				"the sessions' disks lie in %s, which cannot be mounted: %w", image, err).
				WithHint("look at the kernel's log; xfs_repair may help, and moving the file away starts afresh without the old disks")
		}
		_ = os.Remove(image)
		return plain(dir, err.Error(), opts.Log)
	}
	p := At(dir)
	p.sweep()
	return p, nil
}

func plain(dir, why string, log *slog.Logger) (*Pool, error) {
	if log != nil {
		log.Warn("session disks are plain files: forks of sessions will copy them, which takes long", "dir", dir, "why", why)
	}
	p := At(dir)
	p.sweep()
	return p, nil
}

// Close unmounts what Open mounted, which frees its loop device too. Where a
// machine still uses a disk it leaves everything as it is, for the next Open, and
// returns nil.
func (p *Pool) Close() error {
	mounted, err := isMounted(p.dir)
	if err != nil || !mounted {
		return err
	}
	if _, err := os.Stat(p.dir + ".xfs"); err != nil {
		return nil // somebody else's mount
	}
	if err := unix.Unmount(p.dir, 0); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("unmount %s: %w", p.dir, err)
	}
	return nil
}

// sweep removes what interrupted calls left. Young files may belong to a call
// that another process is in.
func (p *Pool) sweep() {
	for _, pattern := range []string{".template-*", ".seed-*", ".new-*", ".probe-*"} {
		left, _ := filepath.Glob(filepath.Join(p.dir, pattern))
		for _, path := range left {
			if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > time.Hour {
				_ = os.RemoveAll(path)
			}
		}
	}
}

// cannotMount says why this process cannot mount a file system from a file, or
// nothing.
func cannotMount() string {
	if os.Geteuid() != 0 {
		return "mounting needs root"
	}
	if err := unix.Access("/dev/loop-control", unix.W_OK); err != nil {
		return "/dev/loop-control: " + err.Error()
	}
	if _, err := exec.LookPath("mkfs.xfs"); err != nil {
		return "mkfs.xfs is not installed (package xfsprogs)"
	}
	return ""
}

// makeImage makes a sparse file with an XFS file system.
func makeImage(ctx context.Context, path string, size int64) (err error) {
	if size == 0 {
		var st unix.Statfs_t
		if err := unix.Statfs(filepath.Dir(path), &st); err != nil {
			return err
		}
		size = int64(st.Bavail) * st.Bsize >> 20 * 9 / 10
	}
	if size < minPool {
		return nixspace.Errorf(nixspace.KindLimit, "disk_full", "the disk that holds %s has too little space for the disks of sessions", path).
			WithHint("free at least %d MiB there, or move the state directory with --state", minPool*2)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".volumes-*")
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := f.Truncate(size << 20); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "mkfs.xfs", "-q", "-f", "-K", "-m", "reflink=1", "-L", "nixspace", f.Name())
	if out, err := cmd.CombinedOutput(); err != nil {
		return diskFull(fmt.Errorf("mkfs.xfs: %w: %s", err, strings.TrimSpace(string(out))), filepath.Dir(path))
	}
	if err := f.Sync(); err != nil {
		return diskFull(err, filepath.Dir(path))
	}
	return os.Rename(f.Name(), path)
}

// mountImage mounts the file system in a file. The loop device goes away by
// itself when it is unmounted, whoever does that.
func mountImage(image, dir string) error {
	if device := loopOf(image); device != "" {
		return mountDevice(device, image, dir)
	}
	backing, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer control.Close()
	for range 16 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return fmt.Errorf("find a free loop device: %w", err)
		}
		device := fmt.Sprintf("/dev/loop%d", n)
		loop, err := os.OpenFile(device, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		config := unix.LoopConfig{Fd: uint32(backing.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		copy(config.Info.File_name[:len(config.Info.File_name)-1], image)
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if errors.Is(err, unix.EBUSY) {
			loop.Close() // somebody else was faster
			continue
		}
		if err == nil {
			err = mountDevice(device, image, dir)
		}
		loop.Close() // the mount holds it, or it is freed
		return err
	}
	return errors.New("no loop device stayed free")
}

func mountDevice(device, image, dir string) error {
	if err := unix.Mount(device, dir, "xfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME, ""); err != nil {
		return fmt.Errorf("mount %s: %w", image, err)
	}
	return nil
}

// loopOf returns the loop device that shows an image already, or nothing. A
// process with mounts of its own, a build's sandbox say, keeps the file system
// alive that it saw when it started, also after it was unmounted here; XFS would
// then refuse to mount the same one from a second device.
func loopOf(image string) string {
	names, _ := filepath.Glob("/sys/block/loop*/loop") // only those that show a file have it
	for _, name := range names {
		device := "/dev/" + filepath.Base(filepath.Dir(name))
		if sameFile(device, image) {
			return device
		}
	}
	return ""
}

// sameFile reports whether a loop device shows this very file. Its name would not
// tell: another file may have had it.
func sameFile(device, image string) bool {
	var st unix.Stat_t
	if unix.Stat(image, &st) != nil {
		return false
	}
	f, err := os.Open(device)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	return err == nil && info.Inode == st.Ino && info.Device == st.Dev
}

// isMounted reports whether something is mounted at dir.
func isMounted(dir string) (bool, error) {
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	defer f.Close()
	// Fields of a line: id, parent, device, root, mount point, … with octal
	// escapes for white space (proc(5)).
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && unescape.Replace(fields[4]) == real {
			return true, nil
		}
	}
	return false, lines.Err()
}
