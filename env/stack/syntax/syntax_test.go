package syntax

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTrees(t *testing.T) {
	for _, c := range []struct {
		name string
		read func([]byte) (*Node, error)
		text string
	}{
		{"json", JSON, "{ // a comment\n\"engines\": {\n\"node\": \"22\"},\n\"list\": [\n1, \"two\", true,],\n}"},
		{"toml", TOML, "# a comment\n[engines]\nnode = \"22\"\n[x]\n[[y]]\n[[y]]\nz = 1\n"},
		{"toml, dotted", TOML, "\n\nengines.node = \"22\"\nlist = [\n  1,\n  \"two\", true]"},
		{"toml, inline", TOML, "\n\nengines = { node = \"22\" }\n"},
		{"yaml", YAML, "# a comment\nengines:\n  node: \"22\"\nlist: [1, two, true]\n"},
		{"yaml, merged", YAML, "base: &b {x: 1}\nengines:\n  node: &n \"22\"\n  <<: *b\nother: *n\n"},
		{"xml", XML, "<?xml version=\"1.0\"?>\n<engines a=\"1\">\n<node> 22 </node></engines>"},
	} {
		n, err := c.read([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		at := n.Get("engines", "node")
		if at.Text() != "22" || at.At() != 3 {
			t.Errorf("%s: engines.node is %q in line %d", c.name, at.Text(), at.At())
		}
		if l := n.Get("list"); l != nil && strings.Join(l.Strings(), " ") != "1 two true" {
			t.Errorf("%s: the list is %q", c.name, l.Strings())
		}
		if x := n.Get("engines", "nothing", "below"); x != nil || x.Text() != "" || x.At() != 0 || x.All() != nil {
			t.Errorf("%s: something is where nothing is", c.name)
		}
	}
}

// Everything here is refused, or read, at once: nothing is built that is larger
// than the bounds.
func TestHostile(t *testing.T) {
	const n = 200_000
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+p+",", 8) + "*" + p + "]\n"
	}
	for _, c := range []struct {
		name string
		read func([]byte) (*Node, error)
		text string
		bad  bool
	}{
		{"deep lists", JSON, strings.Repeat("[", n), true},
		{"deep tables", JSON, strings.Repeat(`{"a":`, n), true},
		{"many values", JSON, "[" + strings.Repeat("1,", 3*MaxNodes) + "1]", true},
		{"one long line", JSON, `{"a": "` + strings.Repeat("x", 1<<20) + `"}`, false},
		{"many lines", JSON, "[" + strings.Repeat("1,\n", MaxNodes-2) + "1]", false},
		{"deep lists", TOML, "a = " + strings.Repeat("[", n), true},
		{"deep keys", TOML, "a" + strings.Repeat(".a", n) + " = 1", true},
		{"deep tables", TOML, "a = " + strings.Repeat("{a = ", 5000), true},
		{"many tables", TOML, strings.Repeat("[[a]]\n", n), true},
		{"deep lists", YAML, strings.Repeat("[", n), true},
		{"deep dashes", YAML, strings.Repeat("- ", n) + "a", true},
		{"growing aliases", YAML, bomb, false},
		{"an alias in itself", YAML, "a: &a [*a, *a]\n", false},
		{"merged in itself", YAML, "a: &a\n  <<: *a\n", false},
		{"deep indentation", YAML, func() string {
			var b strings.Builder
			for i := range 1000 {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(), true},
		{"deep elements", XML, strings.Repeat("<a>", n), true},
		{"entities", XML, `<!DOCTYPE a [<!ENTITY b "x">]><a>&b;</a>`, true},
		{"many attributes", XML, "<a " + strings.Repeat(`b="1" `, 2*MaxNodes) + "/>", true},
	} {
		begin := time.Now()
		_, err := c.read([]byte(c.text))
		if (err != nil) != c.bad {
			t.Errorf("%s: %v", c.name, err)
		}
		// No measurement: a bound that only something like a square would break.
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("%s took %v", c.name, took)
		}
	}
}

func fuzz(f *testing.F, read func([]byte) (*Node, error), seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := read(data)
		if err != nil {
			if n != nil {
				t.Error("a tree beside an error")
			}
			return
		}
		lines := strings.Count(string(data), "\n") + 1
		var visit func(n *Node, depth int) int
		visit = func(n *Node, depth int) int {
			if depth > MaxDepth {
				t.Fatal("too deep")
			}
			if n.Line < 0 || n.Line > lines {
				t.Fatalf("line %d of %d", n.Line, lines)
			}
			sum := 1
			for _, k := range n.kids {
				sum += visit(k, depth+1)
			}
			return sum
		}
		if sum := visit(n, 0); sum > 2*MaxNodes {
			t.Fatalf("%d nodes", sum)
		}
	})
}

func FuzzJSON(f *testing.F) {
	fuzz(f, JSON, `{"a": [1, {"b": null}], /* c */ "d": "e\"",}`, "[", `"\ud800"`, "{\"a\":1}//")
}

// FuzzPlainJSON holds that what is JSON without comments is JSON here.
func FuzzPlainJSON(f *testing.F) {
	f.Add([]byte(`{"a": [1, "//", "/*", ",]"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) || !utf8.Valid(data) {
			return
		}
		if _, err := JSON(data); err != nil && !strings.Contains(err.Error(), errDeep.Error()) && !strings.Contains(err.Error(), errMany.Error()) {
			t.Errorf("%q: %v", data, err)
		}
	})
}

func FuzzTOML(f *testing.F) {
	fuzz(f, TOML, "a = 1\n[b.c]\nd = [1, {e = 2}]\n[[f]]\n", "a.b.c = 1\na.b = 2\n", "\"\" = 1", "a = {}")
}

func FuzzYAML(f *testing.F) {
	fuzz(f, YAML, "a: &x {b: [1, 2]}\nc: *x\n<<: *x\n", "- - a\n", "? a\n: b", "a: !!binary |\n  x", "<<: [*a]")
}

func FuzzXML(f *testing.F) {
	fuzz(f, XML, `<?xml version="1.0"?><a b="c"><d>e</d><d/></a>`, "<a><!-- x --></a>", "<a>&lt;</a>")
}
