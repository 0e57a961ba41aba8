package wire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseLine(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Line
		ok   bool
	}{
		{"RESET 0a1f", Line{VerbReset, "0a1f"}, true},
		{"OK 0a1f", Line{VerbOK, "0a1f"}, true},
		{"HELLO 1", Line{VerbHello, "1"}, true},
		{"READY 7", Line{VerbReady, "7"}, true},
		{"ERR what is this", Line{VerbError, "what is this"}, true},
		{"RESET", Line{}, false},
		{"RESET XYZ", Line{}, false},
		{"RESET " + strings.Repeat("a", 33), Line{}, false},
		{"HELLO 0", Line{}, false},
		{"HELLO -1", Line{}, false},
		{"HELLO 99999999", Line{}, false},
		{"reset 0a", Line{}, false},
		{"", Line{}, false},
	} {
		got, ok := ParseLine(c.in)
		if got != c.want || ok != c.ok {
			t.Errorf("ParseLine(%q) = %v, %v", c.in, got, ok)
		}
	}
}

func TestTheScannerDropsWhatIsNoMessage(t *testing.T) {
	var s LineScanner
	var got []Line
	in := "garbage\n\x00\xff\nRESET 1\n" + strings.Repeat("x", 5000) + "RESET 2\nHELLO 1\nRESET"
	for _, c := range []byte(in) {
		got = append(got, s.Feed([]byte{c})...)
	}
	if diff := cmp.Diff([]Line{{VerbReset, "1"}, {VerbHello, "1"}}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Line{{VerbReset, "3"}}, s.Feed([]byte(" 3\n"))); diff != "" {
		t.Error(diff)
	}
}

func TestSkipToFindsTheMarker(t *testing.T) {
	m := Marker("00ff")
	for _, junk := range []string{"", "abc", m[:3], m[:len(m)-1], "\x00\x00", Marker("00fe"), m[:1] + m[:5]} {
		r := strings.NewReader(junk + m + "next")
		if err := skipTo(r, m); err != nil {
			t.Errorf("after %q: %v", junk, err)
			continue
		}
		if rest := make([]byte, 10); true {
			n, _ := r.Read(rest)
			if string(rest[:n]) != "next" {
				t.Errorf("after %q: %q is left", junk, rest[:n])
			}
		}
	}
	if err := skipTo(strings.NewReader("abc"), m); err == nil {
		t.Error("an end without a marker passes")
	}
}

func FuzzLineScanner(f *testing.F) {
	f.Add([]byte("RESET 01\nHELLO 1\n"))
	f.Add([]byte("\n\n\x00READY 65536\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var whole, single LineScanner
		want := whole.Feed(b)
		var got []Line
		for _, c := range b {
			got = append(got, single.Feed([]byte{c})...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for _, l := range want {
			if again, ok := ParseLine(l.String()); !ok || again != l {
				t.Errorf("%v does not come back", l)
			}
			if (l.Verb == VerbHello || l.Verb == VerbReady) && l.Number() < 1 {
				t.Errorf("%v has no version", l)
			}
		}
	})
}
