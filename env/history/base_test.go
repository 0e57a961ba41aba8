package history

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// world is a graph of versions in memory.
type world struct {
	nodes []Node // parents before children
	asked int    // nodes that were loaded
	extra int    // how many ancestors a load brings along
}

func drawWorld(t *rapid.T, most int) *world {
	w := &world{extra: rapid.IntRange(0, 3).Draw(t, "extra")}
	for i := range rapid.IntRange(1, most).Draw(t, "versions") {
		n := Node{Hash: fmt.Sprintf("v%03d", i), Seq: 1, Time: time.Unix(int64(i/2), 0)}
		for range rapid.IntRange(0, 2).Draw(t, "parents") {
			if i == 0 {
				break
			}
			// Near parents make deep graphs.
			p := w.nodes[max(0, i-1-rapid.IntRange(0, 4).Draw(t, "back"))]
			if !slices.Contains(n.Parents, p.Hash) {
				n.Parents = append(n.Parents, p.Hash)
				n.Seq = max(n.Seq, p.Seq+1)
				if !n.Time.After(p.Time) {
					n.Time = p.Time.Add(1)
				}
			}
		}
		w.nodes = append(w.nodes, n)
	}
	return w
}

func (w *world) load(hashes []string) ([]Node, error) {
	var out []Node
	for _, h := range hashes {
		i := slices.IndexFunc(w.nodes, func(n Node) bool { return n.Hash == h })
		if i < 0 {
			return nil, fmt.Errorf("no version %s", h)
		}
		out = append(out, w.nodes[i])
	}
	for i := 0; i < len(out) && i < w.extra; i++ {
		more, err := (&world{nodes: w.nodes}).load(out[i].Parents)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	w.asked += len(hashes)
	return out, nil
}

// ancestors of a version, itself included, by definition.
func (w *world) ancestors(hash string) map[string]bool {
	all := map[string]bool{}
	var add func(h string)
	add = func(h string) {
		if all[h] {
			return
		}
		all[h] = true
		i := slices.IndexFunc(w.nodes, func(n Node) bool { return n.Hash == h })
		for _, p := range w.nodes[i].Parents {
			add(p)
		}
	}
	add(hash)
	return all
}

func (w *world) tips() []string {
	parents := map[string]bool{}
	for _, n := range w.nodes {
		for _, p := range n.Parents {
			parents[p] = true
		}
	}
	var tips []string
	for _, n := range w.nodes {
		if !parents[n.Hash] {
			tips = append(tips, n.Hash)
		}
	}
	return tips
}

// TestMergeBasesByDefinition compares with what the definition says.
func TestMergeBasesByDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, 30)
		pick := func(name string) string { return rapid.SampledFrom(w.nodes).Draw(t, name).Hash }
		a, b := pick("a"), pick("b")
		ofA, ofB := w.ancestors(a), w.ancestors(b)
		var want []string
		for _, n := range w.nodes {
			if !ofA[n.Hash] || !ofB[n.Hash] {
				continue
			}
			best := !slices.ContainsFunc(w.nodes, func(m Node) bool {
				return m.Hash != n.Hash && ofA[m.Hash] && ofB[m.Hash] && w.ancestors(m.Hash)[n.Hash]
			})
			if best {
				want = append(want, n.Hash)
			}
		}
		got := func(a, b string) []string {
			bases, err := MergeBases(w.load, []string{a}, []string{b})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSortedFunc(bases, bySeq) {
				t.Fatalf("not sorted: %v", bases)
			}
			var hashes []string
			for _, n := range bases {
				hashes = append(hashes, n.Hash)
			}
			return hashes
		}
		one, other := got(a, b), got(b, a)
		if diff := cmp.Diff(one, other); diff != "" {
			t.Fatalf("the other way round:\n%s", diff)
		}
		slices.Sort(one)
		if diff := cmp.Diff(want, one); diff != "" {
			t.Fatalf("bases of %s and %s (-want +got):\n%s", a, b, diff)
		}
		contains, err := Contains(w.load, a, b)
		if err != nil || contains != ofA[b] {
			t.Fatalf("%s contains %s: got %t, %v", a, b, contains, err)
		}
	})
}

// TestSearchLoadsLittle has a base near the tips of a long history.
func TestSearchLoadsLittle(t *testing.T) {
	w := &world{}
	for i := range 10_000 {
		n := Node{Hash: fmt.Sprint(i), Seq: int64(i + 1), Time: time.Unix(int64(i), 0)}
		if i > 0 {
			n.Parents = []string{fmt.Sprint(i - 1)}
		}
		w.nodes = append(w.nodes, n)
	}
	w.nodes = append(w.nodes, Node{Hash: "side", Parents: []string{"9990"}, Seq: 9992, Time: time.Unix(9999, 1)})
	bases, err := MergeBases(w.load, []string{"9999"}, []string{"side"})
	if err != nil || len(bases) != 1 || bases[0].Hash != "9990" || w.asked > 20 {
		t.Errorf("got %v, %v, after %d nodes", bases, err, w.asked)
	}
	w.asked = 0
	if ok, err := Contains(w.load, "9999", "9995"); err != nil || !ok || w.asked > 10 {
		t.Errorf("got %t, %v, after %d nodes", ok, err, w.asked)
	}
}

// TestWalk checks that a walk in pages is the walk in one, and its order.
func TestWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, 30)
		tips := w.tips()
		whole := w.log()
		seen := map[string]bool{}
		for _, n := range whole {
			if seen[n.Hash] {
				t.Fatalf("%s came twice", n.Hash)
			}
			seen[n.Hash] = true
			for _, p := range n.Parents {
				if seen[p] {
					t.Fatalf("%s came before its child %s", p, n.Hash)
				}
			}
		}
		if len(whole) != len(w.nodes) {
			t.Fatalf("%d of %d versions came", len(whole), len(w.nodes))
		}
		var paged []Node
		for rest := tips; len(rest) > 0; {
			left := rapid.IntRange(1, 5).Draw(t, "page")
			var err error
			rest, err = Walk(w.load, rest, func(n Node) bool {
				if left == 0 {
					return false
				}
				left--
				paged = append(paged, n)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(whole, paged); diff != "" {
			t.Fatalf("in pages (-whole +pages):\n%s", diff)
		}
	})
}
