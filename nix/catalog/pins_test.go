package catalog

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/catalog/registry"
)

// TestDroppedPins lets the catalog pin versions that Debian does not have, as it
// is when the mirror has moved on, and a Debian package that it never had.
func TestDroppedPins(t *testing.T) {
	c := open(t)
	stale(t, c, "deb:trixie:hostname")
	before := offer(t, c, "hostname")
	bash := offer(t, c, "bash")
	source, err := c.Source(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	drv, _, err := c.Instantiate(t.Context(), "shop-env", []string{"hostname"})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var notices []string
	progress := func(p nixspace.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(p.Log, "NOTICE") {
			notices = append(notices, p.Log)
		}
	}
	// The derivation that is asked for cannot be built any more.
	err = c.Realise(t.Context(), drv, []string{"hostname"}, "version/1", progress)
	if nixspace.ErrorCode(err) != CodeRepinned {
		t.Fatalf("got %v", err)
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "hostname 0.1-1 → ") {
		t.Errorf("notices: %q", notices)
	}
	after := offer(t, c, "hostname")
	if after.OutPath == before.OutPath || offer(t, c, "bash").OutPath != bash.OutPath {
		t.Errorf("pinned anew: %+v, before %+v", after, before)
	}
	if err := c.Build(t.Context(), []string{"hostname"}, nil); err != nil {
		t.Fatal(err)
	}
	if changed, err := c.Source(t.Context()); err != nil || changed.Digest == source.Digest || changed.URL == source.URL {
		t.Errorf("the flake source is still %v, %v", changed, err)
	}

	// It lasts, for this lock, and for this lock only.
	again, err := Open(t.Context(), c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(again.overlayFile() + ".old"); err != nil {
		t.Errorf("the overlay of another lock was not set aside: %v", err)
	}
	stale(t, again, "deb:trixie:hostname")
	if err := os.Rename(again.overlayFile()+".old", again.overlayFile()); err != nil {
		t.Fatal(err)
	}
	lock, err := again.overlaid()
	if err != nil || lock.Digest() != c.tree.lock.Digest() {
		t.Errorf("the overlay was not read again: %v", err)
	}

	// Check finds such pins before anything is asked for.
	early := open(t)
	stale(t, early, "deb:trixie:tree")
	if err := early.Check(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if v := early.tree.lock.Sources["deb:trixie:tree"].Version; v == "0.1-1" {
		t.Error("Check left a pin that Debian does not have")
	}
}

// stale makes the catalog pin a version that Debian does not have.
func stale(t *testing.T, c *Catalog, key string) {
	t.Helper()
	lock := c.pinned.clone()
	s := lock.Sources[key]
	s.Version, s.Name, s.Hash = "0.1-1", "stale.deb", strings.Repeat("0", 64)
	lock.Sources[key] = s
	c.pinned = lock
	if err := c.setLock(lock); err != nil {
		t.Fatal(err)
	}
}

// TestOldIndex lets the index at hand list a version that the mirror has dropped
// since, as it is some days after the index was fetched.
func TestOldIndex(t *testing.T) {
	c := open(t)
	stale(t, c, "deb:trixie:hostname")
	apt := registry.NewApt(filepath.Join(c.cfg.Dir, "apt", "trixie"), "trixie", "")
	if err := apt.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	behind := func(name, script string) {
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		client(t, name, script+"\nexec "+real+` "$@"`)
	}
	behind("apt-cache", `if [ "$1" = madison ] && [ ! -e `+fresh+` ]; then echo "hostname | 0.1-1 | somewhere"; exit; fi`)
	behind("apt-get", `case $1 in
update) : >`+fresh+` ;;
download) [ -e `+fresh+` ] || { echo "E: Failed to fetch hostname: 404 Not Found" >&2; exit 100; } ;;
esac`)
	if err := c.Fetch(t.Context(), []string{"hostname"}, nil); err != nil {
		t.Fatal(err)
	}
	if v := c.tree.lock.Sources["deb:trixie:hostname"].Version; v == "0.1-1" {
		t.Error("the pin that Debian dropped is still there")
	}
}

// TestDamagedOverlay opens a catalog whose overlay is no overlay.
func TestDamagedOverlay(t *testing.T) {
	c := open(t)
	for _, damage := range []string{"", "{", "\x00\xff", "[]"} {
		if err := os.WriteFile(c.overlayFile(), []byte(damage), 0o644); err != nil {
			t.Fatal(err)
		}
		again, err := Open(t.Context(), c.cfg)
		if err != nil {
			t.Errorf("%q: %v", damage, err)
			continue
		}
		if again.tree.lock.Digest() != c.pinned.Digest() {
			t.Errorf("%q changed the pins", damage)
		}
		if kept, err := os.ReadFile(c.overlayFile() + ".old"); err != nil || string(kept) != damage {
			t.Errorf("%q was not set aside: %q, %v", damage, kept, err)
		}
	}
}
