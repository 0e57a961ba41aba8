package workspace

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
)

func TestCollectWorkspaces(t *testing.T) {
	s, err := Open(t.TempDir(), nixspace.CodeLimits{})
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-100 * 24 * time.Hour)
	digest := func(c string) string {
		var d string
		for range 64 {
			d += c
		}
		return d
	}
	file := func(c string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(s.file(digest(c)), []byte("code"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(s.file(digest(c)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	file("a", old) // named
	file("b", old)
	file("c", time.Now()) // just stored
	file("d", time.Now().Add(-2*24*time.Hour))
	if err := os.WriteFile(filepath.Join(s.dir, "other"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	keep := map[string]bool{digest("a"): true}
	names := func(unused time.Time, remove bool) string {
		t.Helper()
		got, err := s.CollectWorkspaces(t.Context(), keep, unused, remove)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, g := range got {
			if g.Kind != nixspace.GarbageWorkspace || g.Size != 4 || g.Reason == "" || g.Removed != remove || g.Error != "" {
				t.Errorf("%+v", g)
			}
			text += g.Name[:1]
		}
		return text
	}
	month := time.Now().Add(-30 * 24 * time.Hour)
	if got := names(month, false); got != "b" {
		t.Errorf("of a month: %q", got)
	}
	if got := names(month, true); got != "b" {
		t.Errorf("of a month: %q", got)
	}
	if got := names(time.Now().Add(time.Hour), false); got != "d" {
		t.Errorf("of any age, but for the last day: %q", got)
	}
	// Who asks where one is keeps it.
	if _, err := s.Path(digest("d")); err != nil {
		t.Fatal(err)
	}
	if got := names(time.Now().Add(time.Hour), true); got != "" {
		t.Errorf("one that is about to be used: %q", got)
	}
	for c, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, err := s.Path(digest(c)); (err == nil) != want {
			t.Errorf("%s is there: %v", c, err)
		}
	}
	// One that is stored again at the last moment stays.
	file("b", time.Now())
	if gone, err := s.remove(digest("b"), month); gone || err != nil {
		t.Errorf("%v, %v", gone, err)
	}
	if _, err := s.Path(digest("b")); err != nil {
		t.Error(err)
	}
}
