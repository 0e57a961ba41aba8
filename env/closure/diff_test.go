package closure

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
)

func TestParseName(t *testing.T) {
	for in, want := range map[string]Name{
		"postgresql-15.18":                {"postgresql", "15.18", ""},
		"libgssapi-krb5-2-1.22.1":         {"libgssapi-krb5", "2-1.22.1", ""}, // as Nix does
		"openssl-3.0.13-dev":              {"openssl", "3.0.13", "dev"},
		"git-2.47.3-minimal":              {"git", "2.47.3-minimal", ""},
		"shop-env":                        {"shop-env", "", ""},
		"glibc-dev":                       {"glibc", "", "dev"},
		"-1":                              {"", "1", ""},
		"source":                          {"source", "", ""},
		"bash-interactive-5.2":            {"bash-interactive", "5.2", ""},
		"foo-unstable-2024-01-01-lib":     {"foo-unstable", "2024-01-01", "lib"},
		path("go-1.27.4"):                 {"go", "1.27.4", ""},
		"lib":                             {"lib", "", ""},
		"/nix/store/not-a-path":           {"/nix/store/not-a-path", "", ""},
		"python3.13-requests-2.32.3-dist": {"python3.13-requests", "2.32.3", "dist"},
	} {
		if got := ParseName(in); got != want {
			t.Errorf("%s is %+v, want %+v", in, got, want)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	// From the manual of Nix, and its tests.
	sorted := []string{"1.0pre", "1.0", "1.0a", "1.0.1", "2.3a", "2.3.1", "2.3.1pre", "2.10"}
	sorted[5], sorted[6] = sorted[6], sorted[5] // 2.3.1pre comes before 2.3.1
	for i, a := range sorted {
		for j, b := range sorted {
			want := 0
			if i != j {
				want = 1
				if i < j {
					want = -1
				}
			}
			if got := CompareVersions(a, b); got != want {
				t.Errorf("%s and %s: %d, want %d", a, b, got, want)
			}
		}
	}
	if CompareVersions("1-2", "1.2") != 0 || CompareVersions("01", "1") != 0 || CompareVersions("", "1") != -1 || CompareVersions("99999999999999999999999", "1") != 1 {
		t.Error("separators, zeros, nothing or large numbers")
	}
}

// side makes one side of lines "name size: reference reference"; roots are
// "family=name".
func side(t testing.TB, env string, roots []string, lines ...string) Side {
	t.Helper()
	var w world
	for _, l := range lines {
		head, refs, _ := strings.Cut(l, ":")
		var name string
		var size int64
		if _, err := fmt.Sscan(head, &name, &size); err != nil {
			t.Fatal(err)
		}
		w.add(name, size, strings.Fields(refs)...)
	}
	g, err := New(w)
	if err != nil {
		t.Fatal(err)
	}
	s := Side{Graph: g, Env: path(env)}
	for _, r := range roots {
		family, name, _ := strings.Cut(r, "=")
		s.Roots = append(s.Roots, Root{Name: family, Attr: family, Path: path(name)})
	}
	return s
}

func TestCompare(t *testing.T) {
	a := side(t, "env-a", []string{"postgresql=postgresql-15.18", "git=git-2.47.3", "redis=redis-8.0.2"},
		"env-a 1: postgresql-15.18 git-2.47.3 redis-8.0.2",
		"postgresql-15.18 100: icu-72.1 glibc-2.41 openssl-1.1.1",
		"icu-72.1 30: glibc-2.41", "openssl-1.1.1 5: glibc-2.41",
		"git-2.47.3 40: openssl-1.1.1 glibc-2.41", "redis-8.0.2 7: glibc-2.41", "glibc-2.41 50:")
	b := side(t, "env-b", []string{"postgresql=postgresql-14.23", "git=git-2.47.4", "nodejs=nodejs-22.23.3"},
		"env-b 2: postgresql-14.23 git-2.47.4 nodejs-22.23.3",
		"postgresql-14.23 90: icu-72.1 glibc-2.41 openssl-3.0.1", "icu-72.1 30: glibc-2.41",
		"openssl-3.0.1 9: glibc-2.41", "git-2.47.4 44: openssl-3.0.1 glibc-2.41",
		"nodejs-22.23.3 120: icu-76.1 glibc-2.41", "icu-76.1 35: glibc-2.41", "glibc-2.41 50:")
	d := Compare(a, b)

	if d.From != (Total{7, 233}) || d.To != (Total{8, 380}) || d.Growth() != 147 {
		t.Errorf("from %v to %v: %d", d.From, d.To, d.Growth())
	}
	wantPackages := []PackageChange{
		{Upgraded, "git", []string{"2.47.3"}, []string{"2.47.4"}, 40, 44, true},
		{Upgraded, "icu", []string{"72.1"}, []string{"72.1", "76.1"}, 30, 65, false},
		{Added, "nodejs", nil, []string{"22.23.3"}, 0, 120, true},
		{Upgraded, "openssl", []string{"1.1.1"}, []string{"3.0.1"}, 5, 9, false},
		{Downgraded, "postgresql", []string{"15.18"}, []string{"14.23"}, 100, 90, true},
		{Removed, "redis", []string{"8.0.2"}, nil, 7, 0, true},
	}
	if diff := cmp.Diff(wantPackages, d.Packages); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	var got []string
	for _, c := range d.Causes {
		var names []string
		for _, i := range c.Paths {
			p := d.Paths[i]
			names = append(names, fmt.Sprintf("%s %s>%s", p.Name, p.FromVersion, p.ToVersion))
		}
		got = append(got, fmt.Sprintf("%v +%d -%d: %s", c.Roots, c.Added, c.Removed, strings.Join(names, ", ")))
	}
	want := []string{
		"[nodejs] +155 -0: nodejs >22.23.3, icu >76.1",
		"[postgresql] +90 -100: postgresql 15.18>14.23",
		"[redis] +0 -7: redis 8.0.2>",
		"[git] +44 -40: git 2.47.3>2.47.4",
		"[git postgresql] +9 -5: openssl 1.1.1>3.0.1",
		"[] +2 -1: env-b >",
	}
	if diff := cmp.Diff(want[:5], got[:5]); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	if len(got) != 6 || !strings.HasPrefix(got[5], "[] +2 -1: env-b") {
		t.Errorf("the environment: %v", got)
	}

	if d := Compare(a, a); len(d.Packages)+len(d.Paths)+len(d.Causes) != 0 || d.Growth() != 0 {
		t.Errorf("a closure differs from itself: %+v", d)
	}
	if d := Compare(Side{}, b); len(d.Paths) != 8 || d.Growth() != 380 || d.Packages[0].Kind != Added {
		t.Errorf("from nothing: %+v", d)
	}
}

// drawSide makes a random closure: whether a path is in one of two worlds depends
// on its version, so that both share much.
func drawSide(t *rapid.T, label string) Side {
	var w world
	var libs []string
	for i := range rapid.IntRange(0, 15).Draw(t, label+"libraries") {
		name := fmt.Sprintf("lib%d-%d", i, rapid.IntRange(1, 2).Draw(t, label+"version"))
		var refs []string
		for _, l := range libs {
			if rapid.IntRange(0, 3).Draw(t, label+"refers") == 0 {
				refs = append(refs, l)
			}
		}
		// What a path refers to is part of its hash.
		p := nixspace.PathInfo{Path: path(name + "-" + strings.Join(refs, "+")), NarSize: int64(len(name)*100 + i)}
		name = strings.TrimPrefix(p.Path, nixspace.StoreDir+"/")
		p.NarHash = "sha256:" + name
		for _, r := range refs {
			p.References = append(p.References, nixspace.StoreDir+"/"+r)
		}
		w = append(w, p)
		libs = append(libs, name)
	}
	s := Side{}
	env := nixspace.PathInfo{Path: path(label + "-env"), NarSize: 3}
	for _, l := range libs {
		env.References = append(env.References, nixspace.StoreDir+"/"+l)
		if rapid.Bool().Draw(t, label+"asked") {
			s.Roots = append(s.Roots, Root{Name: ParseName(l).Package, Attr: "x", Path: nixspace.StoreDir + "/" + l})
		}
	}
	w = append(w, env)
	var err error
	if s.Graph, err = New(w); err != nil {
		t.Fatal(err)
	}
	s.Env = env.Path
	return s
}

func TestCompareProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSide(t, "a"), drawSide(t, "b")
		d, back := Compare(a, b), Compare(b, a)

		// Causes add up, and every changed path is in one of them.
		var growth int64
		count := make([]int, len(d.Paths))
		for _, c := range d.Causes {
			growth += c.Growth()
			for _, i := range c.Paths {
				count[i]++
			}
		}
		if growth != d.Growth() {
			t.Errorf("the causes add up to %d, the closure grew by %d", growth, d.Growth())
		}
		// Applying the paths of the diff to a gives b.
		have := map[string]bool{}
		for _, p := range a.Graph.Paths() {
			have[p] = true
		}
		var size int64
		for i, p := range d.Paths {
			size += p.Growth()
			if p.From != "" && !have[p.From] || p.To != "" && have[p.To] || count[i] == 0 || count[i] > 2 {
				t.Errorf("%+v, in %d causes", p, count[i])
			}
			delete(have, p.From)
			if p.To != "" {
				have[p.To] = true
			}
		}
		if size != d.Growth() {
			t.Errorf("the paths add up to %d, the closure grew by %d", size, d.Growth())
		}
		for _, p := range b.Graph.Paths() {
			if !have[p] {
				t.Errorf("%s is not there", p)
			}
			delete(have, p)
		}
		if len(have) > 0 {
			t.Errorf("left over: %v", have)
		}
		// The other way round it is the opposite.
		if back.Growth() != -d.Growth() || len(back.Paths) != len(d.Paths) || len(back.Packages) != len(d.Packages) {
			t.Errorf("there %+v\nand back %+v", d, back)
		}
		// A root that changed is among its own paths' owners.
		for _, p := range d.Paths {
			for _, r := range b.Roots {
				if p.To == r.Path && !slices.Contains(p.Via, r.Name) {
					t.Errorf("%s is needed by %v, not by itself", r.Name, p.Via)
				}
			}
		}
	})
}

func TestCompareWithCircles(t *testing.T) {
	a := side(t, "env", []string{"x=x-1"}, "env 1: x-1", "x-1 1: y-1", "y-1 1: z-1 x-1", "z-1 1: y-1")
	d := Compare(Side{}, a)
	for _, p := range d.Paths {
		if p.Name != "env" && !cmp.Equal(p.Via, []string{"x"}) {
			t.Errorf("%s is needed by %v", p.Name, p.Via)
		}
	}
}

func TestWhy(t *testing.T) {
	g := graphOf(t, "env: app-1 tool-2", "app-1: lib-1 app-1", "lib-1: ssl-3.0-lib libc-2", "tool-2: ssl-3.0-lib", "ssl-3.0-lib: libc-2", "libc-2:", "base: libc-2", "alone:")
	for what, want := range map[string]string{
		"libc": "libc-2", "libc-2": "libc-2", "ssl": "ssl-3.0-lib", "ssl-lib": "ssl-3.0-lib", "nope": "", "": "",
		path("app-1"): "app-1", path("app-1") + "/bin/app": "app-1",
		strings.TrimPrefix(path("lib-1"), "/nix/store/")[:10]: "lib-1",
		"app-2": "",
	} {
		got := g.Find(what)
		if want == "" && len(got) != 0 || want != "" && !cmp.Equal(got, []string{path(want)}) {
			t.Errorf("%q finds %v, want %s", what, got, want)
		}
	}
	for _, c := range []struct {
		target string
		all    bool
		want   string
	}{
		{"libc-2", false, "0 base\n1 libc-2!\n"},
		{"ssl-3.0-lib", false, "0 env\n1 tool-2\n2 ssl-3.0-lib!\n"},
		{"env", false, "0 env!\n"},
		{"alone", false, ""},
		{"libc-2", true, "0 base\n1 libc-2!\n0 env\n1 app-1\n2 lib-1\n3 libc-2!\n3 ssl-3.0-lib\n4 libc-2!\n1 tool-2\n2 ssl-3.0-lib (above)\n"},
	} {
		steps, err := g.Why(path(c.target), c.all, path("env"), path("base"))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range steps {
			got += fmt.Sprintf("%d %s", s.Depth, nixspace.StorePathName(s.Path))
			if s.Target {
				got += "!"
			}
			if s.Repeated {
				got += " (above)"
			}
			got += "\n"
		}
		if got != c.want {
			t.Errorf("why %s (all %v):\n%swant\n%s", c.target, c.all, got, c.want)
		}
	}
	if _, err := g.Why(path("x"), false, path("env")); err == nil {
		t.Error("what is not there has a reason")
	}
	if _, err := g.Why(path("env"), false, path("x")); err == nil {
		t.Error("an unknown root reaches something")
	}
}

// closureOf makes a closure of n paths that looks like a real one: a few libraries
// that all need, many that some need, forty packages. Paths whose number is in
// changed have another version, and so has all that needs them.
func closureOf(n int, version func(i int) int) Side {
	rnd := rand.New(rand.NewPCG(1, 2))
	infos := make([]nixspace.PathInfo, 0, n)
	hashes := make([]string, n)
	s := Side{}
	for i := range n {
		p := nixspace.PathInfo{NarSize: int64(1000 + rnd.IntN(1<<20))}
		v := version(i)
		key := fmt.Sprintf("%d-%d", i, v)
		for range min(i, 1+rnd.IntN(12)) {
			j := rnd.IntN(i)
			if rnd.IntN(2) == 0 {
				j = rnd.IntN(min(i, 20))
			}
			p.References = append(p.References, hashes[j])
			key += hashes[j]
		}
		if i == n-1 {
			for _, r := range s.Roots {
				p.References = append(p.References, r.Path)
				key += r.Path
			}
		}
		slices.Sort(p.References)
		p.References = slices.Compact(p.References)
		h := strings.TrimSuffix(path(key), "-"+key)
		p.Path = fmt.Sprintf("%s-package%d-1.%d", h, i, v)
		p.NarHash = "sha256:" + strings.Repeat("0", 32) + h[len(h)-32:]
		hashes[i] = p.Path
		infos = append(infos, p)
		if i >= n-41 && i < n-1 {
			s.Roots = append(s.Roots, Root{Name: fmt.Sprintf("package%d", i), Attr: "x", Path: p.Path})
		}
	}
	s.Env = infos[n-1].Path
	var err error
	if s.Graph, err = New(infos); err != nil {
		panic(err)
	}
	return s
}

// BenchmarkCompare compares closures of 2,000 paths: with one leaf changed, and
// with the lowest library changed, which changes every path.
func BenchmarkCompare(b *testing.B) {
	a := closureOf(2000, func(int) int { return 1 })
	for name, changed := range map[string]int{"one-package": 1970, "everything": 0} {
		other := closureOf(2000, func(i int) int {
			if i == changed {
				return 2
			}
			return 1
		})
		b.Run(name, func(b *testing.B) {
			var d *Diff
			for b.Loop() {
				d = Compare(a, other)
			}
			b.ReportMetric(float64(len(d.Paths)), "paths")
		})
		b.Run(name+"-with-graphs", func(b *testing.B) {
			for b.Loop() {
				x, err := New(a.Graph.infos)
				if err != nil {
					b.Fatal(err)
				}
				y, err := New(other.Graph.infos)
				if err != nil {
					b.Fatal(err)
				}
				Compare(Side{x, a.Roots, a.Env}, Side{y, other.Roots, other.Env})
			}
		})
	}
}

func BenchmarkWhy(b *testing.B) {
	a := closureOf(2000, func(int) int { return 1 })
	for b.Loop() {
		if _, err := a.Graph.Why(a.Graph.Paths()[5], true, a.Env); err != nil {
			b.Fatal(err)
		}
	}
}
