package image

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

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
