package closure

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
)

func path(name string) string {
	sum := sha256.Sum256([]byte(name))
	return nixspace.StoreDir + "/" + hex.EncodeToString(sum[:])[:32] + "-" + name
}

// graphOf makes a graph of lines "name: reference reference"; each path's size
// is 1.
func graphOf(t testing.TB, lines ...string) *Graph {
	t.Helper()
	var infos []nixspace.PathInfo
	for _, l := range lines {
		name, refs, _ := strings.Cut(l, ":")
		p := nixspace.PathInfo{Path: path(name), NarHash: "sha256:" + name, NarSize: 1}
		for _, r := range strings.Fields(refs) {
			p.References = append(p.References, path(r))
		}
		infos = append(infos, p)
	}
	g, err := New(infos)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestDigest(t *testing.T) {
	infos := []nixspace.PathInfo{{Path: "/nix/store/b", NarHash: "sha256:2"}, {Path: "/nix/store/a", NarHash: "sha256:1"}}
	sum := sha256.Sum256([]byte("/nix/store/a sha256:1\n/nix/store/b sha256:2\n"))
	want := hex.EncodeToString(sum[:])
	if got := Digest(infos); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	slices.Reverse(infos)
	if got := Digest(infos); got != want {
		t.Errorf("another order has digest %s, want %s", got, want)
	}
	infos[0].NarHash = "sha256:3"
	if Digest(infos) == want {
		t.Error("another content has the same digest")
	}
	if infos[0].Path != "/nix/store/a" {
		t.Error("the argument was sorted")
	}
}

func TestGraph(t *testing.T) {
	g := graphOf(t, "app: lib app", "lib: libc loop", "loop: lib", "libc:", "other: libc")
	got, err := g.Closure(path("app"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range got {
		names = append(names, nixspace.StorePathName(p.Path))
	}
	slices.Sort(names)
	if want := []string{"app", "lib", "libc", "loop"}; !cmp.Equal(names, want) {
		t.Errorf("closure of app: %v, want %v", names, want)
	}
	if !slices.IsSortedFunc(got, func(a, b nixspace.PathInfo) int { return strings.Compare(a.Path, b.Path) }) {
		t.Errorf("not sorted: %v", got)
	}
	if Size(got) != 4 || len(g.Paths()) != 5 {
		t.Errorf("size %d of %d paths", Size(got), len(g.Paths()))
	}
	if _, err := g.Closure("/nix/store/nothing"); err == nil {
		t.Error("the closure of an unknown path was found")
	}
	for _, bad := range [][]nixspace.PathInfo{
		{{Path: "/nix/store/a", References: []string{"/nix/store/b"}}},
		{{Path: "/nix/store/a"}, {Path: "/nix/store/a"}},
	} {
		if _, err := New(bad); err == nil {
			t.Errorf("a graph was made of %v", bad)
		}
	}
}

func TestLayers(t *testing.T) {
	g := graphOf(t,
		"base: bash libc", "bash: libc", "libc:",
		"postgresql_15: openssl libc", "nodejs_22: openssl zlib", "openssl: libc", "zlib: libc",
		"env: postgresql_15 nodejs_22 bash")
	packages := []Package{{"postgresql_15", path("postgresql_15")}, {"nodejs_22", path("nodejs_22")}, {"bash", path("bash")}}
	got, err := Layers(g, path("base"), packages, path("env"), 12)
	if err != nil {
		t.Fatal(err)
	}
	want := "base: base bash libc; nodejs_22: nodejs_22 openssl zlib; postgresql_15: openssl postgresql_15; environment: env"
	if s := show(got); s != want {
		t.Errorf("layers\n%s\nwant\n%s", s, want)
	}
	if _, err := Layers(g, path("base"), packages, path("env"), 2); err == nil {
		t.Error("two layers were enough")
	}
	if _, err := Layers(g, path("base"), []Package{{"x", path("x")}}, path("env"), 12); err == nil {
		t.Error("an unknown package has a layer")
	}
}

func show(ls []nixspace.StoreLayer) string {
	var out []string
	for _, l := range ls {
		var names []string
		for _, p := range l.Paths {
			names = append(names, nixspace.StorePathName(p))
		}
		slices.Sort(names)
		out = append(out, l.Name+": "+strings.Join(names, " "))
	}
	return strings.Join(out, "; ")
}

// world is a random closure.
type world []nixspace.PathInfo

func (w *world) add(name string, size int64, refs ...string) {
	p := nixspace.PathInfo{Path: path(name), NarHash: "sha256:" + name, NarSize: size}
	for _, r := range refs {
		p.References = append(p.References, path(r))
	}
	*w = append(*w, p)
}

func TestLayersProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w world
		var libs []string
		some := func() []string {
			var refs []string
			for range rapid.IntRange(0, 3).Draw(t, "references") {
				if len(libs) > 0 {
					refs = append(refs, rapid.SampledFrom(libs).Draw(t, "reference"))
				}
			}
			slices.Sort(refs)
			return slices.Compact(refs)
		}
		for i := range rapid.IntRange(0, 20).Draw(t, "libraries") {
			name := fmt.Sprintf("lib%d", i)
			w.add(name, rapid.Int64Range(1, 1000).Draw(t, "size"), some()...)
			libs = append(libs, name)
		}
		w.add("base", 1, some()...)
		n := rapid.IntRange(0, 20).Draw(t, "packages")
		var names []string
		for i := range n {
			name := fmt.Sprintf("%s_%d", string(rune('a'+i)), 1)
			refs := some()
			size := rapid.Int64Range(1, 1<<30).Draw(t, "size")
			w.add(name, size, refs...)
			w.add(strings.TrimSuffix(name, "1")+"2", size, refs...) // another version, of like size
			names = append(names, name)
		}
		w.add("env", 1, names...)
		other := slices.Clone(names)
		if n > 0 {
			i := rapid.IntRange(0, n-1).Draw(t, "changed")
			other[i] = strings.TrimSuffix(other[i], "1") + "2"
		}
		w.add("env2", 1, other...)
		most := rapid.IntRange(MinLayers, 14).Draw(t, "most")

		g, err := New(w)
		if err != nil {
			t.Fatal(err)
		}
		layersOf := func(names []string, env string) []nixspace.StoreLayer {
			var ps []Package
			for _, name := range names {
				ps = append(ps, Package{Attr: name, OutPath: path(name)})
			}
			ls, err := Layers(g, path("base"), ps, path(env), most)
			if err != nil {
				t.Fatal(err)
			}
			return ls
		}
		ls := layersOf(names, "env")
		if len(ls) > most {
			t.Errorf("%d layers, of %d", len(ls), most)
		}

		// Together they are the closure, and nothing else.
		union := map[string]bool{}
		for _, l := range ls {
			if len(l.Paths) == 0 || !slices.IsSorted(l.Paths) {
				t.Errorf("layer %s: %v", l.Name, l.Paths)
			}
			for _, p := range l.Paths {
				union[p] = true
			}
		}
		all, err := g.Closure(path("base"), path("env"))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, p := range all {
			want = append(want, p.Path)
		}
		if got := slices.Sorted(maps.Keys(union)); !slices.Equal(got, want) {
			t.Errorf("the layers hold %v, the closure is %v", got, want)
		}

		// The order of the packages does not matter.
		shuffled := rapid.Permutation(names).Draw(t, "shuffled")
		if diff := cmp.Diff(ls, layersOf(shuffled, "env")); diff != "" {
			t.Errorf("in another order (-want +got):\n%s", diff)
		}

		// A layer of a package is the same without all the others.
		for _, l := range ls {
			if slices.Contains(names, l.Name) {
				alone := layersOf([]string{l.Name}, l.Name)
				if !slices.ContainsFunc(alone, func(o nixspace.StoreLayer) bool { return cmp.Equal(o, l) }) {
					t.Errorf("%s alone has the layers %s", l.Name, show(alone))
				}
			}
		}

		// Another version of one package changes its layer and the environment's.
		if n > 0 {
			var changed []string
			for _, l := range layersOf(other, "env2") {
				if !slices.ContainsFunc(ls, func(o nixspace.StoreLayer) bool { return slices.Equal(o.Paths, l.Paths) }) {
					changed = append(changed, l.Name)
				}
			}
			if len(changed) > 2 || !slices.Contains(changed, "environment") {
				t.Errorf("changed layers: %v", changed)
			}
		}
	})
}

// BenchmarkLayers divides a closure of 2,000 paths, as large as a development
// environment of real nixpkgs.
func BenchmarkLayers(b *testing.B) {
	var infos []nixspace.PathInfo
	for i := range 2000 {
		p := nixspace.PathInfo{Path: path(fmt.Sprintf("p%d", i)), NarHash: "sha256:" + strings.Repeat("0", 64), NarSize: int64(i)}
		for j := 1; j <= 10 && i >= j*7; j++ {
			p.References = append(p.References, path(fmt.Sprintf("p%d", i-j*7)))
		}
		infos = append(infos, p)
	}
	env := nixspace.PathInfo{Path: path("env"), NarSize: 1}
	var packages []Package
	for i := range 40 {
		p := path(fmt.Sprintf("p%d", 1999-i))
		packages = append(packages, Package{Attr: fmt.Sprintf("p%d", i), OutPath: p})
		env.References = append(env.References, p)
	}
	infos = append(infos, env)
	b.ResetTimer()
	for b.Loop() {
		g, err := New(infos)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Layers(g, path("p50"), packages, path("env"), 12); err != nil {
			b.Fatal(err)
		}
		Digest(infos)
	}
}
