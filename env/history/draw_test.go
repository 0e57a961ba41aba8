package history

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files again")

// drawAll draws a log as the command line does.
func drawAll(nodes []Node) string {
	var b strings.Builder
	var d Drawing
	line := func(parts ...string) { b.WriteString(strings.TrimRight(strings.Join(parts, ""), " ") + "\n") }
	for _, n := range nodes {
		mark, rest, below := d.Add(n.Hash, n.Parents)
		line(mark, n.Hash)
		line(rest, "  ", strings.Join(n.Parents, " "))
		for _, r := range below {
			line(r)
		}
	}
	return b.String()
}

// TestDrawing compares drawings with testdata. A graph is written one version a
// line, children first: its name, then its parents.
func TestDrawing(t *testing.T) {
	for name, text := range map[string]string{
		"linear":      "c b\nb a\na",
		"two-tips":    "c a\nb a\na",
		"merge":       "d c b\nc a\nb a\na",
		"merge-newer": "d c b\nb a\nc a\na",
		"crisscross":  "f d e\ne b c\nd c b\nc a\nb a\na",
		"far":         "x a\ny b\nz c\nc b\nb a\na",
		"roots":       "d c\nb a\nc\na",
		"left":        "g a f\nf e d\ne b\nd c\nc b\nb a\na",
		"crossing":    "h x\ni y\nj z\nw x z\nx a\ny a\nz a\na",
	} {
		t.Run(name, func(t *testing.T) {
			got := drawAll(graphOf(text))
			golden := filepath.Join("testdata", "graph", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("drawing differs (-want +got); go test ./env/history -update writes it again\n%s", diff)
			}
		})
	}
}

func graphOf(text string) []Node {
	var nodes []Node
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		nodes = append(nodes, Node{Hash: f[0], Parents: f[1:]})
	}
	return nodes
}

// TestDrawingFollowsLines walks the lines of a drawing, character by character,
// and checks that they lead from every version to its parents and nowhere else.
func TestDrawingFollowsLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, 25)
		nodes := w.log()
		var d Drawing
		// What stands in each column after each version, by the drawing alone.
		var columns []string
		for _, n := range nodes {
			mark, _, below := d.Add(n.Hash, n.Parents)
			at := strings.IndexByte(mark, '*') / 2
			if at == len(columns) {
				columns = append(columns, n.Hash) // a tip
			}
			if columns[at] != n.Hash || strings.Count(mark, "*") != 1 {
				t.Fatalf("%s is drawn in the column of %s:\n%s", n.Hash, columns[at], drawAll(nodes))
			}
			reached := map[string]bool{}
			for i, h := range d.waiting {
				if reached[h] {
					t.Fatalf("two columns wait for %s", h)
				}
				reached[h] = true
				_ = i
			}
			for _, p := range n.Parents {
				if !reached[p] {
					t.Fatalf("nothing leads from %s to %s", n.Hash, p)
				}
			}
			for _, row := range below {
				if strings.Trim(row, " |/\\X") != "" || len(row) > 2*(len(columns)+2) {
					t.Fatalf("row %q:\n%s", row, drawAll(nodes))
				}
			}
			columns = append([]string(nil), d.waiting...)
		}
		if len(columns) != 0 {
			t.Fatalf("lines that end nowhere: %v", columns)
		}
	})
}

func (w *world) log() []Node {
	var nodes []Node
	if _, err := Walk(w.load, w.tips(), func(n Node) bool { nodes = append(nodes, n); return true }); err != nil {
		panic(fmt.Sprint("walk: ", err))
	}
	return nodes
}
