package volume

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
)

func TestSeed(t *testing.T) {
	pools(t, func(t *testing.T, p *Pool) {
		ctx := context.Background()
		from := t.TempDir()
		for name, perm := range map[string]os.FileMode{"a/b": 0o444, "c": 0o755} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(from, name), []byte(name), perm); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("/etc/passwd", filepath.Join(from, "link")); err != nil {
			t.Fatal(err)
		}
		finished := 0
		seed := &Seed{Key: "one", Trees: []Tree{{From: from, To: "/data/x"}}, UID: 1000, GID: 1001, Finish: func(context.Context, *os.File) error {
			finished++
			return nil
		}}
		disk, fresh, err := p.Create(ctx, nixspace.NewID(), 64, seed)
		if err != nil || !fresh || finished != 1 {
			t.Fatal(fresh, finished, err)
		}
		if out, err := exec.Command("e2fsck", "-fn", disk).CombinedOutput(); err != nil {
			t.Errorf("e2fsck: %v: %s", err, out)
		}
		for name, want := range map[string]string{
			"/": "Mode: 0755", "/data/x": "Mode: 0700", "/data/x/a/b": "Mode: 0600 User: 1000 Group: 1001", "/data/x/link": "File not found",
		} {
			out, err := exec.Command("debugfs", "-R", "stat "+name, disk).CombinedOutput()
			text := strings.Join(strings.Fields(string(out)), " ")
			for _, part := range strings.SplitAfter(want, "Mode: 0600 ") {
				if err != nil || !strings.Contains(text, strings.TrimSpace(part)) {
					t.Errorf("%s: %v, %s", name, err, text)
				}
			}
		}
		at, err := Blocks(ctx, disk, "/data/x/c", "/data/x/a/b")
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(disk)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for i, want := range []string{"c", "a/b"} {
			b := make([]byte, len(want))
			if _, err := f.ReadAt(b, at[i]); err != nil || string(b) != want {
				t.Errorf("there is %q, %v", b, err)
			}
		}
		if _, err := Blocks(ctx, disk, "/nowhere"); err == nil {
			t.Error("a file that is not there is found")
		}

		seed.Finish = func(context.Context, *os.File) error { return errors.New("no") }
		id := nixspace.NewID()
		if _, _, err := p.Create(ctx, id, 64, seed); err == nil {
			t.Error("a disk that is not finished is one")
		}
		if _, err := os.Stat(p.Path(id)); err == nil {
			t.Error("a disk that is not finished is there")
		}
		for _, bad := range []Tree{{From: from, To: "data"}, {From: from, To: "/data/../etc"}, {From: filepath.Join(from, "none"), To: "/x"}} {
			_, _, err := p.Create(ctx, nixspace.NewID(), 64, &Seed{Key: "bad", Trees: []Tree{bad}})
			if nixspace.ErrorCode(err) != "seed_failed" {
				t.Errorf("%v: %v", bad, err)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(p.dir, ".*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestCollectTemplates(t *testing.T) {
	pools(t, func(t *testing.T, p *Pool) {
		if _, _, err := p.Create(context.Background(), nixspace.NewID(), 64, nil); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(p.dir, "template-64.ext4"))
		if err != nil {
			t.Fatal(err)
		}
		if found, err := p.Collect(info.ModTime(), true); err != nil || len(found) != 0 {
			t.Errorf("%v, %v", found, err)
		}
		later := info.ModTime().Add(1)
		if found, err := p.Collect(later, false); err != nil || len(found) != 1 || found[0].Removed || found[0].Name != "disk 64" {
			t.Errorf("%v, %v", found, err)
		}
		if found, err := p.Collect(later, true); err != nil || len(found) != 1 || !found[0].Removed {
			t.Errorf("%v, %v", found, err)
		}
		if found, err := p.Collect(later, true); err != nil || len(found) != 0 {
			t.Errorf("%v, %v", found, err)
		}
	})
}

// Disks are made while what they are copied from is collected all the time.
func TestCreateWhileCollecting(t *testing.T) {
	pools(t, func(t *testing.T, p *Pool) {
		done := make(chan struct{})
		var collecting sync.WaitGroup
		collecting.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := p.Collect(time.Now().Add(time.Hour), true); err != nil {
					t.Error(err)
				}
			}
		})
		for range 30 {
			if _, _, err := p.Create(t.Context(), nixspace.NewID(), 64, nil); err != nil {
				t.Error(err)
			}
		}
		close(done)
		collecting.Wait()
	})
}
