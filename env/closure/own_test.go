package closure_test

import (
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/closure"
)

func TestOwn(t *testing.T) {
	p := func(name string) string { return "/nix/store/00000000000000000000000000000000-" + name }
	g, err := closure.New([]nixspace.PathInfo{
		{Path: p("libc"), NarSize: 1000},
		{Path: p("ssl"), NarSize: 100, References: []string{p("libc")}},
		{Path: p("node"), NarSize: 10, References: []string{p("ssl"), p("libc"), p("node")}},
		{Path: p("git"), NarSize: 1, References: []string{p("libc")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		root   string
		others []string
		want   int64
	}{
		{p("node"), nil, 1110},
		{p("node"), []string{p("git")}, 110},
		{p("node"), []string{p("git"), p("ssl")}, 10},
		{p("libc"), []string{p("git")}, 0},
		{p("gone"), []string{p("git")}, 0},
		{p("git"), []string{p("gone")}, 1001},
	} {
		if got := g.Own(c.root, c.others...); got != c.want {
			t.Errorf("%s without %v: %d, want %d", c.root, c.others, got, c.want)
		}
	}
}
