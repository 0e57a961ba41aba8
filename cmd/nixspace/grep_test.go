package main

import (
	"bytes"
	"testing"

	"github.com/nixspace/nixspace"
)

func TestGrep(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		writes  []string
		want    string
	}{
		{"b", []string{"abc\nxyz\nb\n"}, "abc\nb\n"},
		{"^ab$", []string{"a", "b\na", "bc\n", "ab"}, "ab\nab"},
		{"", []string{"a\n\nb\n"}, "a\n\nb\n"},
		{"(?i)ERROR", []string{"an error\nfine\n"}, "an error\n"},
		{"x", []string{"", "\n", "y"}, ""},
	} {
		var out bytes.Buffer
		g, err := newGrep(&out, tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range tt.writes {
			if n, err := g.Write([]byte(w)); n != len(w) || err != nil {
				t.Fatalf("%q: got %d, %v", w, n, err)
			}
		}
		if err := g.flush(); err != nil {
			t.Fatal(err)
		}
		if out.String() != tt.want {
			t.Errorf("%q in %q: got %q, want %q", tt.pattern, tt.writes, out.String(), tt.want)
		}
	}
	if _, err := newGrep(nil, "("); nixspace.ErrorCode(err) != "pattern_invalid" {
		t.Errorf("got %v", err)
	}
	// A line without an end is not kept for ever.
	var out bytes.Buffer
	g, err := newGrep(&out, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Write(bytes.Repeat([]byte("a"), grepLineMax)); err != nil || out.Len() != grepLineMax {
		t.Errorf("kept %d bytes, %v", grepLineMax-out.Len(), err)
	}
}
