package image

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
)

func age(t *testing.T, path string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestCollectLayers(t *testing.T) {
	ctx := context.Background()
	host, paths := store(t, "one", "two", "three", "four")
	l := NewLayers(t.TempDir(), host)
	longAgo, month := time.Now().Add(-100*24*time.Hour), time.Now().Add(-30*24*time.Hour)
	var images []nixspace.LayerImage
	for _, p := range paths {
		img, err := l.Ensure(ctx, nixspace.StoreLayer{Name: p, Paths: []string{p}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		age(t, strings.TrimSuffix(img.Path, ".erofs")+".json", longAgo)
		images = append(images, img)
	}
	// The first is needed, the second was used just now, the third and fourth go.
	if _, err := l.Ensure(ctx, nixspace.StoreLayer{Paths: paths[1:2]}, nil); err != nil {
		t.Fatal(err)
	}
	needed := []nixspace.StoreLayer{{Paths: []string{paths[0], paths[0]}}}
	for _, remove := range []bool{false, true} {
		got, err := l.Collect(ctx, needed, month, remove)
		if err != nil || len(got) != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, g := range got {
			if g.Kind != nixspace.GarbageLayer || g.Removed != remove || g.Size == 0 || g.Error != "" || g.Reason == "" {
				t.Errorf("%+v", g)
			}
		}
	}
	for i, img := range images {
		if _, err := os.Stat(img.Path); (err == nil) != (i < 2) {
			t.Errorf("image %d is there: %v", i, err)
		}
	}
	again, err := l.Ensure(ctx, nixspace.StoreLayer{Name: paths[2], Paths: paths[2:3]}, nil)
	if err != nil || again.Digest != images[2].Digest {
		t.Errorf("made again: %+v, %v", again, err)
	}
	left, _ := filepath.Glob(filepath.Join(l.dir, "*.gone"))
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	// One that a crash left without a record goes by its own age.
	record := strings.TrimSuffix(images[1].Path, ".erofs") + ".json"
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Collect(ctx, needed, month, true); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	age(t, images[1].Path, longAgo)
	if got, err := l.Collect(ctx, needed, month, true); err != nil || len(got) != 1 || !got[0].Removed {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCollectRacesEnsure collects an image that is old again and again, while
// others look it up: whoever got one has it.
func TestCollectRacesEnsure(t *testing.T) {
	ctx := context.Background()
	host, paths := store(t, "one")
	dir := t.TempDir()
	began := time.Now()
	longAgo := began.Add(-time.Hour)
	done := make(chan struct{})
	var collecting, using sync.WaitGroup
	collected := 0
	collecting.Go(func() {
		l := NewLayers(dir, host)
		for {
			got, err := l.Collect(ctx, nil, began, true)
			if err != nil {
				t.Error(err)
			}
			for _, g := range got {
				if g.Error != "" {
					t.Error(g.Error)
				}
				collected++
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for range 4 {
		using.Go(func() {
			l := NewLayers(dir, host)
			for range 200 {
				img, err := l.Ensure(ctx, nixspace.StoreLayer{Paths: paths}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				// Another may have made it old again in between; then it may be gone.
				info, err := os.Stat(strings.TrimSuffix(img.Path, ".erofs") + ".json")
				if err != nil || info.ModTime().Before(began) {
					continue
				}
				f, err := os.Open(img.Path)
				if err != nil {
					if info, serr := os.Stat(strings.TrimSuffix(img.Path, ".erofs") + ".json"); serr == nil && !info.ModTime().Before(began) {
						t.Errorf("an image that is in use is gone: %v", err)
					}
					continue
				}
				f.Close()
			}
		})
	}
	using.Go(func() {
		k := key(paths)
		for range 400 {
			_ = os.Chtimes(filepath.Join(dir, k+".json"), longAgo, longAgo)
			time.Sleep(time.Millisecond)
		}
	})
	using.Wait()
	close(done)
	collecting.Wait()
	if collected == 0 {
		t.Log("nothing was collected meanwhile")
	}
}

func TestCollectBoot(t *testing.T) {
	dir := t.TempDir()
	longAgo, month := time.Now().Add(-100*24*time.Hour), time.Now().Add(-30*24*time.Hour)
	for _, name := range []string{"vmlinux-now", "initramfs-now", "vmlinux-before", "initramfs-before", "other"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("12345"), 0o444); err != nil {
			t.Fatal(err)
		}
		age(t, path, longAgo)
	}
	if err := os.WriteFile(filepath.Join(dir, "initramfs-young"), nil, 0o444); err != nil {
		t.Fatal(err)
	}
	memorise(dir, "stamp", Boot{Kernel: filepath.Join(dir, "vmlinux-now"), Initramfs: filepath.Join(dir, "initramfs-now")})
	for _, remove := range []bool{false, true} {
		got, err := CollectBoot(context.Background(), dir, month, remove)
		if err != nil || len(got) != 2 || got[0].Name != "initramfs-before" || got[1].Name != "vmlinux-before" || got[0].Removed != remove || got[0].Size != 5 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for name, want := range map[string]bool{"vmlinux-now": true, "initramfs-now": true, "vmlinux-before": false, "other": true, "initramfs-young": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	if got, err := CollectBoot(context.Background(), filepath.Join(dir, "nothing"), month, true); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
