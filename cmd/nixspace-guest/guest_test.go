package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fsnotify/fsnotify"
	"pgregory.net/rapid"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/app.js", "a/node_modules/x.js", "b.txt", ".git/config", "a/skip/app.js"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", "/nonexistent") // without git
	for _, tt := range []struct {
		q    query
		want []string
	}{
		{query{}, []string{"a/app.js", "a/skip/app.js", "b.txt"}},
		{query{Ignored: true}, []string{"a/app.js", "a/node_modules/x.js", "a/skip/app.js", "b.txt"}},
		{query{Exclude: []string{"**/skip"}}, []string{"a/app.js", "b.txt"}},
		{query{Include: []string{"**/*.js"}}, []string{"a/app.js", "a/skip/app.js"}},
		{query{Include: []string{"*.{txt,md}"}}, []string{"b.txt"}},
	} {
		tt.q.Path = dir
		var got []string
		if err := tt.q.files(func(name string) error { got = append(got, name); return nil }); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.q, got, tt.want)
		}
	}
}

func TestQueries(t *testing.T) {
	for q, ok := range map[string]bool{
		`{"path":"/a"}`: true, `{"path":"a"}`: false, `{`: false, `{"path":"/a","exclude":["[a"]}`: false, `{"path":"/a","max":1}`: true,
	} {
		if _, err := readQuery([]string{q}); (err == nil) != ok {
			t.Errorf("%s: %v", q, err)
		}
	}
}

func TestLettersOf(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{{"", "x", true}, {"apj", "src/App.js", true}, {"jsa", "app.js", false}, {"src app", "src/app", true}, {"Ä", "ä.txt", true}} {
		if got := lettersOf(tt.pattern, tt.name); got != tt.want {
			t.Errorf("%q in %q: %v", tt.pattern, tt.name, got)
		}
	}
}

func TestSearchText(t *testing.T) {
	got := searchText([]byte("one\r\n\xff two TWO\nthree"), "f", regexp.MustCompile("(?i)two"), 10)
	if len(got) != 1 || got[0].Line != 1 || got[0].Text != "� two TWO" || !slices.Equal(got[0].Ranges, [][2]int{{2, 5}, {6, 9}}) {
		t.Errorf("%+v", got)
	}
	if got := searchText([]byte("a\na\na\n"), "f", regexp.MustCompile("a"), 2); len(got) != 2 {
		t.Errorf("%+v", got)
	}
}

// FuzzSearchText: whatever a file holds, ranges lie within the text that is shown.
func FuzzSearchText(f *testing.F) {
	f.Add([]byte("Ä𝄞 needle \xff"), "n")
	f.Fuzz(func(t *testing.T, content []byte, pattern string) {
		re, err := query{Pattern: pattern}.compile()
		if err != nil {
			return
		}
		for _, m := range searchText(content, "f", re, 100) {
			if !utf8.ValidString(m.Text) {
				t.Errorf("%q is no text", m.Text)
			}
			for _, r := range m.Ranges {
				if r[0] < 0 || r[0] >= r[1] || r[1] > units([]byte(m.Text)) {
					t.Errorf("%v is not in %q", r, m.Text)
				}
			}
		}
	})
}

func TestMergedChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := map[string]int{}
		exists := rapid.Bool().Draw(t, "exists")
		was := exists
		for range rapid.IntRange(1, 8).Draw(t, "events") {
			kind := updated
			if !exists {
				kind = added
			} else if rapid.Bool().Draw(t, "delete") {
				kind = deleted
			}
			exists = kind != deleted
			changes["f"] = merged(changes, "f", kind)
		}
		// What the editor is told leads it from what was to what is.
		switch kind := changes["f"]; {
		case !exists && kind != deleted, exists && !was && kind == deleted, exists && was && kind == deleted:
			t.Errorf("was %v, is %v, told %d", was, exists, kind)
		}
	})
}

func TestEvents(t *testing.T) {
	tr := &tree{root: "/w"}
	for _, tt := range []struct {
		name string
		op   fsnotify.Op
		kind int
		tell bool
	}{
		{"/w/a", fsnotify.Write, updated, true},
		{"/w/a", fsnotify.Chmod, 0, false},
		{"/w/a", fsnotify.Rename, deleted, true},
		{"/w/.git/index.lock", fsnotify.Create, 0, false},
		{"/w/.git/index", fsnotify.Create, added, true},
	} {
		if kind, tell := tr.event(fsnotify.Event{Name: tt.name, Op: tt.op}); kind != tt.kind || tell != tt.tell {
			t.Errorf("%+v: %d, %v", tt, kind, tell)
		}
	}
}

func TestQuestionsOfGit(t *testing.T) {
	q, err := readQuestion(strings.NewReader("capability[]=authtype\nprotocol=https\nhost=git.example.org:8443\npath=a/b\n\nhost=evil.example\n"))
	if err != nil || q.Protocol != "https" || q.Host != "git.example.org:8443" {
		t.Errorf("%+v, %v", q, err)
	}
}

func FuzzQuestionsOfGit(f *testing.F) {
	f.Add("protocol=https\nhost=a\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		q, err := readQuestion(strings.NewReader(s))
		if err == nil && strings.ContainsAny(q.Host+q.Protocol, "\n") {
			t.Errorf("%q is %+v", s, q)
		}
	})
}
