package volume

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

// pools runs a test on every kind of pool that this host allows.
func pools(t *testing.T, test func(t *testing.T, p *Pool)) {
	t.Run("plain", func(t *testing.T) {
		p, err := Open(context.Background(), filepath.Join(t.TempDir(), "volumes"), Options{Plain: true})
		if err != nil {
			t.Fatal(err)
		}
		test(t, p)
	})
	t.Run("xfs", func(t *testing.T) { test(t, openXFS(t, t.TempDir())) })
}

func openXFS(t *testing.T, dir string) *Pool {
	t.Helper()
	if why := cannotMount(); why != "" {
		t.Skipf("no file system can be mounted here (%s): the XFS pool is NOT tested", why)
	}
	p, err := Open(context.Background(), filepath.Join(dir, "volumes"), Options{Size: 1024})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestDisks(t *testing.T) {
	pools(t, func(t *testing.T, p *Pool) {
		ctx := context.Background()
		a, b := nixspace.NewID(), nixspace.NewID()
		path, fresh, err := p.Create(ctx, a, 128, nil)
		if err != nil || !fresh {
			t.Fatal(fresh, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != 128<<20 {
			t.Errorf("size %d, %v", info.Size(), err)
		}
		if out, err := exec.Command("e2fsck", "-fn", path).CombinedOutput(); err != nil {
			t.Errorf("e2fsck: %v: %s", err, out)
		}
		if used, err := p.Usage(a); err != nil || used > 16<<20 {
			t.Errorf("an empty disk uses %d bytes, %v", used, err)
		}
		mark := func(path, text string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte(text), 100<<20); err != nil {
				t.Fatal(err)
			}
		}
		read := func(path string) string {
			b := make([]byte, 5)
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.ReadAt(b, 100<<20); err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		mark(path, "first")
		if again, fresh, err := p.Create(ctx, a, 128, nil); err != nil || fresh || again != path || read(path) != "first" {
			t.Errorf("a second Create: %v, %v, disk %q", fresh, err, read(path))
		}
		clone, err := p.Clone(ctx, a, b)
		if err != nil {
			t.Fatal(err)
		}
		mark(clone, "clone")
		if read(path) != "first" || read(clone) != "clone" {
			t.Errorf("a write to the clone reached its parent")
		}
		if _, err := p.Clone(ctx, a, b); err == nil {
			t.Error("a clone replaced a disk")
		}
		ids, err := p.List()
		if err != nil || len(ids) != 2 {
			t.Errorf("list: %v, %v", ids, err)
		}
		for range 2 {
			if err := p.Delete(a); err != nil {
				t.Error(err)
			}
		}
		if _, err := p.Usage(a); err == nil {
			t.Error("a deleted disk is still there")
		}
		left, _ := filepath.Glob(filepath.Join(p.dir, ".*"))
		if len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestRefusals(t *testing.T) {
	pools(t, func(t *testing.T, p *Pool) {
		ctx := context.Background()
		if _, _, err := p.Create(ctx, "../../etc/passwd", 128, nil); err == nil {
			t.Error("a path was taken for a session")
		}
		for _, size := range []int64{-1, 0, 63, 1 << 40} {
			if _, _, err := p.Create(ctx, nixspace.NewID(), size, nil); nixspace.ErrorCode(err) != "disk_size_invalid" {
				t.Errorf("size %d: %v", size, err)
			}
		}
	})
}

func TestReopenAfterCrash(t *testing.T) {
	dir := t.TempDir()
	p := openXFS(t, dir)
	id := nixspace.NewID()
	if _, _, err := p.Create(context.Background(), id, 64, nil); err != nil {
		t.Fatal(err)
	}
	// Nobody closed p: the next process finds the mount.
	again, err := Open(context.Background(), p.dir, Options{})
	if err != nil || !again.Reflink() {
		t.Fatal(err)
	}
	if _, err := again.Usage(id); err != nil {
		t.Error(err)
	}
	// After an unmount (a reboot, say) it mounts the file again.
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Usage(id); err == nil {
		t.Error("still mounted after Close")
	}
	if out, err := exec.Command("losetup", "-j", p.dir+".xfs").Output(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("a loop device is left: %s, %v", out, err)
	}
	if again, err = Open(context.Background(), p.dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Usage(id); err != nil {
		t.Error(err)
	}
}

func TestCloseKeepsWhatIsInUse(t *testing.T) {
	p := openXFS(t, t.TempDir())
	path, _, err := p.Create(context.Background(), nixspace.NewID(), 64, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if mounted, err := isMounted(p.dir); err != nil || !mounted {
		t.Errorf("unmounted while a disk was in use: %v", err)
	}
	f.Close()
}

func TestFullDisk(t *testing.T) {
	p := openXFS(t, t.TempDir())
	var st unix.Statfs_t
	if err := unix.Statfs(p.dir, &st); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(p.dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-8<<20); err != nil {
		t.Fatal(err)
	}
	_, _, err = p.Create(context.Background(), nixspace.NewID(), 512, nil)
	if nixspace.ErrorCode(err) != "disk_full" || nixspace.ErrorKind(err) != nixspace.KindLimit {
		t.Errorf("on a full disk: %v", err)
	}
	if ids, _ := p.List(); len(ids) > 0 {
		t.Errorf("a disk was left: %v", ids)
	}
}

func TestPlainPoolSaysSo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volumes")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	p, err := plain(dir, "mounting needs root", slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil || p == nil || !strings.Contains(out.String(), "mounting needs root") {
		t.Errorf("log %q, %v", out.String(), err)
	}
}

// A process that took the mounts along into a namespace of its own keeps the file
// system alive; it can be mounted again all the same.
func TestReopenWhileHeldElsewhere(t *testing.T) {
	p := openXFS(t, t.TempDir())
	id := nixspace.NewID()
	if _, _, err := p.Create(context.Background(), id, 64, nil); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", "echo; read _")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		_ = cmd.Wait() // read fails at the end of its input
	}()
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has its namespace
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(context.Background(), p.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Usage(id); err != nil {
		t.Error(err)
	}
}
