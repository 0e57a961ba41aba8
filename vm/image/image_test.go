package image

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
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
