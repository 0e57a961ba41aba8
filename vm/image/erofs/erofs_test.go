package erofs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// describe returns what an image must keep of a tree: a line per entry.
func describe(t interface{ Fatal(...any) }, dir string) map[string]string {
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if rel == "." {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch mode := info.Mode(); {
		case mode.IsDir():
			out[rel] = "dir"
		case mode.IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			out[rel] = fmt.Sprintf("file x=%v %d %x", mode&0o100 != 0, len(b), sha256.Sum256(b))
		default:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			out[rel] = "link " + target
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func writeImage(t interface {
	Fatal(...any)
	Helper()
}, file string, roots []Root, opts Options,
) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(context.Background(), &b, roots, opts); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// extract unpacks an image with the tools that the format's authors wrote.
func extract(t interface {
	Fatal(...any)
	Helper()
}, image, dir string,
) {
	t.Helper()
	out, err := exec.Command("fsck.erofs", "--extract="+dir, "--overwrite", "--no-preserve-owner", "--preserve-perms", image).CombinedOutput()
	if err != nil {
		t.Fatal("fsck.erofs: ", err, ": ", string(out))
	}
}

func rootsOf(t interface{ Fatal(...any) }, dir string) []Root {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var roots []Root
	for _, e := range entries {
		roots = append(roots, Root{Name: e.Name(), Path: filepath.Join(dir, e.Name())})
	}
	return roots
}

func needTools(t *testing.T) {
	if _, err := exec.LookPath("fsck.erofs"); err != nil {
		t.Skip("fsck.erofs is missing (package erofs-utils): images are NOT checked against the format's own tools")
	}
}

// sizes around every border of the layout.
var sizes = []int{0, 1, 31, 2047, 2048, 2049, 4064, 4095, 4096, 4097, 6143, 6144, 6145, 8192, 8193, 1<<20 + 17}

func TestWriteKeepsTrees(t *testing.T) {
	needTools(t)
	src := t.TempDir()
	for i, size := range sizes {
		data := bytes.Repeat([]byte{byte(i + 1)}, size)
		if size > 0 {
			data[size-1] = 0xff
		}
		mode := os.FileMode(0o444)
		if i%2 == 0 {
			mode = 0o555
		}
		if err := os.WriteFile(filepath.Join(src, fmt.Sprintf("file-%d", size)), data, mode); err != nil {
			t.Fatal(err)
		}
	}
	// Names that sort before ".", and a folder of several blocks.
	for _, name := range []string{"!first", "-dash", ".hidden", "..two", "~last", "ümlaut"} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(name), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	many := filepath.Join(src, "many", "deep", "er")
	if err := os.MkdirAll(many, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 1500 {
		if err := os.WriteFile(filepath.Join(many, fmt.Sprintf("%04d-%s", i, strings.Repeat("n", i%200))), nil, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(src, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"abs": "/nix/store/x", "up": "../../..", "long": strings.Repeat("a/", 1500)} {
		if err := os.Symlink(target, filepath.Join(src, name)); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	image := filepath.Join(dir, "image")
	first := writeImage(t, image, rootsOf(t, src), Options{UUID: [16]byte{1}})
	extract(t, image, filepath.Join(dir, "out"))
	if diff := cmp.Diff(describe(t, src), describe(t, filepath.Join(dir, "out"))); diff != "" {
		t.Errorf("the image differs from its source (-source +image):\n%s", diff)
	}
	if second := writeImage(t, image, rootsOf(t, src), Options{UUID: [16]byte{1}}); !bytes.Equal(first, second) {
		t.Error("two images of one tree differ")
	}

	t.Run("kernel", func(t *testing.T) { compareMounted(t, src, image) })
}

// compareMounted lets the kernel read the image.
func compareMounted(t *testing.T, src, image string) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root: the kernel's own reading is NOT checked")
	}
	at := t.TempDir()
	if out, err := exec.Command("mount", "-t", "erofs", "-o", "loop,ro", image, at).CombinedOutput(); err != nil {
		t.Skipf("this kernel cannot mount the image (its own reading is NOT checked): %v: %s", err, out)
	}
	defer func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	}()
	if diff := cmp.Diff(describe(t, src), describe(t, at)); diff != "" {
		t.Errorf("the mounted image differs from its source (-source +image):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(at, "file-4097"))
	if err != nil {
		t.Fatal(err)
	}
	if info.ModTime().Unix() != 1 {
		t.Errorf("time %v, want 1 second after the epoch", info.ModTime())
	}
}

func TestHardLinksAndTimesDoNotMatter(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for _, name := range []string{"x", "y"} {
		if err := os.WriteFile(filepath.Join(a, name), []byte("same"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(b, "x"), []byte("same"), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(b, "x"), filepath.Join(b, "y")); err != nil {
		t.Fatal(err)
	}
	one := writeImage(t, filepath.Join(t.TempDir(), "i"), rootsOf(t, a), Options{})
	two := writeImage(t, filepath.Join(t.TempDir(), "i"), rootsOf(t, b), Options{})
	if !bytes.Equal(one, two) {
		t.Error("images of equal trees differ")
	}
}

func TestRandomTrees(t *testing.T) {
	needTools(t)
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		src := filepath.Join(base, fmt.Sprint("src", n))
		out := filepath.Join(base, fmt.Sprint("out", n))
		defer os.RemoveAll(src)
		defer os.RemoveAll(out)
		dirs := []string{src}
		if err := os.Mkdir(src, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range rapid.IntRange(1, 40).Draw(t, "entries") {
			name := rapid.StringMatching(`[-!.a-zA-Z0-9_~]{1,20}`).Draw(t, "name") + fmt.Sprint(i)
			path := filepath.Join(rapid.SampledFrom(dirs).Draw(t, "dir"), name)
			var err error
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				if err = os.Mkdir(path, 0o755); err == nil {
					dirs = append(dirs, path)
				}
			case 1:
				err = os.Symlink(rapid.StringMatching(`[/.a-z]{1,300}`).Draw(t, "target"), path)
			default:
				size := rapid.IntRange(0, 9000).Draw(t, "size")
				err = os.WriteFile(path, bytes.Repeat([]byte{byte(i + 1)}, size), 0o444)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		image := filepath.Join(base, "image")
		writeImage(t, image, rootsOf(t, src), Options{})
		extract(t, image, out)
		if diff := cmp.Diff(describe(t, src), describe(t, out)); diff != "" {
			t.Fatal("the image differs from its source:\n" + diff)
		}
	})
}

func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, roots := range map[string][]Root{
		"a pipe":         {{Name: "p", Path: pipe}},
		"a path as name": {{Name: "a/b", Path: dir}},
		"an empty name":  {{Name: "", Path: dir}},
		"equal names":    {{Name: "a", Path: "/dev/../etc/hostname"}, {Name: "a", Path: "/etc/hostname"}},
		"what is absent": {{Name: "a", Path: filepath.Join(dir, "nothing")}},
	} {
		if err := Write(context.Background(), &bytes.Buffer{}, roots, Options{}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Write(ctx, &bytes.Buffer{}, nil, Options{}); err == nil {
		t.Error("a cancelled context was ignored")
	}
}

func TestLargeFilesTakeLongInodes(t *testing.T) {
	big := &node{name: "big", kind: kindFile, size: math.MaxUint32 + 1}
	top := &node{kind: kindDir, children: []*node{big}}
	if err := top.sortChildren(); err != nil {
		t.Fatal(err)
	}
	l, err := arrange(top)
	if err != nil {
		t.Fatal(err)
	}
	if !big.extended || len(big.inode()) != 64 || l.blocks <= 1<<20 {
		t.Errorf("extended %v, inode of %d bytes, %d blocks", big.extended, len(big.inode()), l.blocks)
	}
}

func BenchmarkWrite(b *testing.B) {
	src := os.Getenv("EROFS_BENCH_TREE")
	if src == "" {
		b.Skip("name a folder in EROFS_BENCH_TREE")
	}
	for b.Loop() {
		f, err := os.Create(filepath.Join(b.TempDir(), "image"))
		if err != nil {
			b.Fatal(err)
		}
		if err := Write(context.Background(), f, []Root{{Name: "tree", Path: src}}, Options{}); err != nil {
			b.Fatal(err)
		}
		info, _ := f.Stat()
		b.SetBytes(info.Size())
		f.Close()
	}
}
