package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// realKernel returns the kernel that guests boot on this machine.
func realKernel(t testing.TB) Kernel {
	k, err := FindKernel("")
	if err != nil {
		t.Skipf("no guest kernel here: the real one is NOT tested: %v", err)
	}
	return k
}

// bootImage wraps a payload as the kernel's build does.
func bootImage(payload []byte) []byte {
	b := make([]byte, 1024+64)
	b[0x1f1] = 1
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x20f)
	binary.LittleEndian.PutUint32(b[0x248:], 64)
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(len(payload)))
	return append(b, payload...)
}

func compress(t *testing.T, how string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	size := binary.LittleEndian.AppendUint32(nil, uint32(len(data)))
	switch how {
	case "gzip":
		w := gzip.NewWriter(&b)
		_, _ = w.Write(data)
		_ = w.Close()
		return b.Bytes()
	case "zstd":
		w, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(data)
		_ = w.Close()
		return append(b.Bytes(), size...)
	}
	args := map[string][]string{"lz4": {"lz4", "-l", "-9", "-c"}, "xz": {"xz", "--check=crc32", "--x86", "--lzma2=dict=1MiB", "-c"}}[how]
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout = bytes.NewReader(data), &b
	if err := cmd.Run(); errors.Is(err, exec.ErrNotFound) {
		t.Skipf("%s is missing: this compression is NOT tested", args[0])
	} else if err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), size...)
}

func TestPayloads(t *testing.T) {
	// More than one block of LZ4, in part compressible and in part not.
	data := make([]byte, 9<<20)
	if _, err := rand.Read(data[:1<<20]); err != nil {
		t.Fatal(err)
	}
	copy(data[5<<20:], bytes.Repeat([]byte("NixSpace "), 100_000))
	for _, how := range []string{"gzip", "zstd", "lz4", "xz"} {
		t.Run(how, func(t *testing.T) {
			packed := compress(t, how, data)
			payload, err := bootPayload(bootImage(packed))
			if err != nil || !bytes.Equal(payload, packed) {
				t.Fatalf("payload of %d bytes, %v", len(payload), err)
			}
			got, err := decompress(payload)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, data) {
				t.Error("unpacked to something else")
			}
			for _, cut := range []int{9, len(packed) / 2, len(packed) - 5} {
				if out, err := decompress(packed[:cut]); err == nil && len(out) >= len(data) {
					t.Errorf("cut to %d bytes it still unpacks", cut)
				}
			}
		})
	}
}

func TestRealKernel(t *testing.T) {
	k := realKernel(t)
	b, err := os.ReadFile(k.Vmlinuz)
	if err != nil {
		t.Fatal(err)
	}
	vmlinux, err := extractVmlinux(b)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := extractVmlinux(vmlinux); err != nil || !bytes.Equal(again, vmlinux) {
		t.Errorf("an ELF kernel is not taken as it is: %v", err)
	}
	modules, err := loadModules(k.Modules, guestModules)
	if err != nil {
		t.Fatal(err)
	}
	place := make(map[string]int)
	for i, m := range modules {
		place[m.name] = i
		for _, d := range m.depends {
			if j, ok := place[d]; !ok || j >= i {
				t.Errorf("%s comes before %s, which it needs", m.name, d)
			}
		}
	}
}

func TestKernelErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := FindKernel(dir)
	if nixspace.ErrorCode(err) != "kernel_missing" || !strings.Contains(err.Error(), "scripts/kernel") {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vmlinuz"), []byte("no kernel"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	k, err := FindKernel(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if _, err := prepareVmlinux(out, k); nixspace.ErrorCode(err) != "kernel_unusable" {
		t.Errorf("garbage as kernel: %v", err)
	}
	if _, err := prepareInitramfs(out, k, nil); nixspace.ErrorCode(err) != "kernel_unusable" || !strings.Contains(err.Error(), "virtio_mmio") {
		t.Errorf("no modules: %v", err)
	}
	noneLeft(t, out)
}

func noneLeft(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNewestInstalledKernel(t *testing.T) {
	boot, modules := t.TempDir(), t.TempDir()
	for _, v := range []string{"6.1.0-9-amd64", "6.1.0-56-amd64", "5.10.0-100-amd64", "6.1.0-57-amd64"} {
		if err := os.WriteFile(filepath.Join(boot, "vmlinuz-"+v), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if v == "6.1.0-57-amd64" {
			continue // its modules are gone
		}
		if err := os.Mkdir(filepath.Join(modules, v), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	k, err := installedKernel(boot, modules)
	if err != nil || filepath.Base(k.Modules) != "6.1.0-56-amd64" {
		t.Errorf("%+v, %v", k, err)
	}
}

// readCpio reads a newc archive independently of how it was written.
func readCpio(t *testing.T, b []byte) map[string]string {
	t.Helper()
	out := make(map[string]string)
	pad := func(n int) int { return (n + 3) &^ 3 }
	for pos := 0; ; {
		if len(b)-pos < 110 || string(b[pos:pos+6]) != "070701" {
			t.Fatalf("no entry at %d", pos)
		}
		field := func(i int) int {
			n, err := strconv.ParseUint(string(b[pos+6+8*i:pos+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		mode, size, nameSize, major, minor := field(1), field(6), field(11), field(9), field(10)
		name := string(b[pos+110 : pos+110+nameSize-1])
		if name == "TRAILER!!!" {
			return out
		}
		pos = pad(pos + 110 + nameSize)
		out[name] = fmt.Sprintf("%o %d:%d %s", mode, major, minor, b[pos:pos+size])
		pos = pad(pos + size)
	}
}

func TestInitramfs(t *testing.T) {
	modules := []module{{name: "one", data: []byte("1")}, {name: "two", data: []byte("22")}}
	b := initramfs([]byte("agent"), modules)
	have := readCpio(t, b)
	for name, want := range map[string]string{
		"init": "100555 0:0 agent", "modules/order": "100444 0:0 one.ko\ntwo.ko\n",
		"modules/two.ko": "100444 0:0 22", "dev/console": "20600 5:1 ",
		"nix/store": "40755 0:0 ", "tmp": "41777 0:0 ",
	} {
		if have[name] != want {
			t.Errorf("%s is %q, want %q", name, have[name], want)
		}
	}
	if !bytes.Equal(b, initramfs([]byte("agent"), modules)) {
		t.Error("not deterministic")
	}
}

// store makes a folder that looks like a Nix store and returns its paths.
func store(t testing.TB, names ...string) (dir string, paths []string) {
	dir = t.TempDir()
	for i, name := range names {
		base := strings.Repeat(string(rune('a'+i)), 32) + "-" + name
		if err := os.MkdirAll(filepath.Join(dir, base, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, base, "bin", name), []byte(strings.Repeat(name, 5000)), 0o755); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, nixspace.StoreDir+"/"+base)
	}
	return dir, paths
}

func TestLayers(t *testing.T) {
	ctx := context.Background()
	host, paths := store(t, "one", "two", "three")
	dir := t.TempDir()
	l := NewLayers(dir, host)
	var reports []nixspace.Progress
	img, err := l.Ensure(ctx, nixspace.StoreLayer{Name: "first", Paths: paths[:2]}, func(p nixspace.Progress) { reports = append(reports, p) })
	if err != nil {
		t.Fatal(err)
	}
	if len(reports) == 0 || !reports[len(reports)-1].Final {
		t.Errorf("reports: %+v", reports)
	}
	if info, err := os.Stat(img.Path); err != nil || info.Size() != img.Size || info.Mode().Perm() != 0o444 {
		t.Errorf("image: %+v, %v", info, err)
	}

	t.Run("equal sets share an image", func(t *testing.T) {
		again, err := NewLayers(dir, host).Ensure(ctx, nixspace.StoreLayer{Name: "other", Paths: []string{paths[1], paths[0], paths[1]}}, nil)
		if err != nil || again.Path != img.Path || again.Digest != img.Digest || again.Name != "other" {
			t.Errorf("%+v, %v; want %+v", again, err, img)
		}
	})
	t.Run("another set has another", func(t *testing.T) {
		other, err := l.Ensure(ctx, nixspace.StoreLayer{Paths: paths[2:]}, nil)
		if err != nil || other.Digest == img.Digest {
			t.Errorf("%+v, %v", other, err)
		}
	})
	t.Run("equal content elsewhere has an equal digest", func(t *testing.T) {
		elsewhere, err := NewLayers(t.TempDir(), host).Ensure(ctx, nixspace.StoreLayer{Paths: paths[:2]}, nil)
		if err != nil || elsewhere.Digest != img.Digest {
			t.Errorf("%+v, %v", elsewhere, err)
		}
	})
	t.Run("a truncated image is made again", func(t *testing.T) {
		if err := os.Truncate(img.Path, 4096); err != nil {
			t.Fatal(err)
		}
		again, err := l.Ensure(ctx, nixspace.StoreLayer{Name: "first", Paths: paths[:2]}, nil)
		if diff := cmp.Diff(img, again); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if info, err := os.Stat(img.Path); err != nil || info.Size() != img.Size {
			t.Errorf("still truncated: %v", err)
		}
	})
	t.Run("a garbled record is made again", func(t *testing.T) {
		record := strings.TrimSuffix(img.Path, ".erofs") + ".json"
		if err := os.Chmod(record, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(record, []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
		if again, err := l.Ensure(ctx, nixspace.StoreLayer{Paths: paths[:2]}, nil); err != nil || again.Digest != img.Digest {
			t.Errorf("%+v, %v", again, err)
		}
	})
	t.Run("what a crash left is removed", func(t *testing.T) {
		base := strings.TrimSuffix(filepath.Base(img.Path), ".erofs")
		left := filepath.Join(dir, tempPrefix+base+".erofs-123")
		if err := os.WriteFile(left, make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(img.Path); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Ensure(ctx, nixspace.StoreLayer{Paths: paths[:2]}, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(left); err == nil {
			t.Error("it is still there")
		}
	})
	noneLeft(t, dir)
}

func TestLayersAreMadeOnce(t *testing.T) {
	host, paths := store(t, "one")
	dir := t.TempDir()
	made := make(chan struct{}, 100)
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			_, err := NewLayers(dir, host).Ensure(context.Background(), nixspace.StoreLayer{Paths: paths}, func(p nixspace.Progress) {
				if p.Final {
					made <- struct{}{}
				}
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(made) != 1 {
		t.Errorf("made %d times", len(made))
	}
}

func TestLayersRefuse(t *testing.T) {
	host, paths := store(t, "one")
	l := NewLayers(t.TempDir(), host)
	for name, bad := range map[string][]string{
		"nothing":            nil,
		"a path elsewhere":   {"/etc/passwd"},
		"a path that climbs": {nixspace.StoreDir + "/../../etc"},
		"a file in a path":   {paths[0] + "/bin/one"},
		"a short digest":     {nixspace.StoreDir + "/abc-x"},
		"a line feed":        {paths[0] + "\n" + paths[0]},
	} {
		if _, err := l.Ensure(context.Background(), nixspace.StoreLayer{Paths: bad}, nil); nixspace.ErrorCode(err) != "layer_invalid" {
			t.Errorf("%s: %v", name, err)
		}
	}
	absent := nixspace.StoreDir + "/" + strings.Repeat("z", 32) + "-absent"
	if _, err := l.Ensure(context.Background(), nixspace.StoreLayer{Paths: []string{absent}}, nil); nixspace.ErrorCode(err) != "store_path_missing" {
		t.Errorf("a path that is not there: %v", err)
	}
	noneLeft(t, l.dir)
}

func TestLayersOnFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root: a full disk is NOT tested")
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("cannot mount: a full disk is NOT tested: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	host, paths := store(t, "one")
	_, err := NewLayers(dir, host).Ensure(context.Background(), nixspace.StoreLayer{Name: "x", Paths: paths}, nil)
	if nixspace.ErrorCode(err) != "disk_full" || nixspace.ErrorKind(err) != nixspace.KindLimit {
		t.Errorf("got %v", err)
	}
	noneLeft(t, dir)
}

func TestLockIsCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	waiting := make(chan error, 1)
	go func() {
		_, err := lockFile(ctx, path)
		waiting <- err
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	unlock()
	// The one who gave up must not keep the lock.
	ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	unlock, err = lockFile(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestPublishFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	broken := errors.New("broken")
	if _, _, err := publish(path, func(w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return broken
	}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("half a file was published")
	}
	noneLeft(t, dir)
}

func TestCompareVersions(t *testing.T) {
	part := rapid.StringMatching(`[0-9]{1,3}|[a-z]{1,2}|[.-]`)
	rapid.Check(t, func(t *rapid.T) {
		a := strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, "a"), "")
		b := strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, "b"), "")
		if x, y := compareVersions(a, b), compareVersions(b, a); (x < 0) != (y > 0) || (x == 0) != (y == 0) {
			t.Fatalf("%q and %q: %d and %d", a, b, x, y)
		}
	})
}

func FuzzLZ4(f *testing.F) {
	f.Add([]byte{2, 0x21, 0x4c, 0x18, 5, 0, 0, 0, 0x40, 'a', 'b', 'c', 'd', 4, 0, 0, 0})
	f.Add([]byte{2, 0x21, 0x4c, 0x18, 8, 0, 0, 0, 0x1f, 'a', 1, 0, 255, 255, 10, 0x10, 'b', 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if len(b) >= 4 {
			_, _ = decompressLZ4(b)
		}
	})
}

func FuzzBootImage(f *testing.F) {
	f.Add(bootImage([]byte("\x02!L\x18\x05\x00\x00\x00@abcd")))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		payload, err := bootPayload(b)
		// xz runs a program, which is too slow to be fuzzed here.
		if err == nil && !bytes.HasPrefix(payload, []byte{0xfd}) {
			_, _ = decompress(payload)
		}
		_ = checkVmlinux(b)
	})
}

func FuzzModule(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = moduleDepends(b) })
}
