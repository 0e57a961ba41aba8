package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

func TestAskConflicts(t *testing.T) {
	conflicts := []client.Conflict{
		{Kind: "value", Path: "packages.postgresql", Base: "15", Ours: "14", Theirs: "16"},
		{Kind: "removed", Path: "env.A", Base: "1", Ours: "\x1b[2J"},
		{Kind: "invalid", Reason: "port twice"},
		{Kind: "value", Path: "env.B", Ours: "1", Theirs: "2"},
	}
	var out bytes.Buffer
	takes, err := askConflicts(strings.NewReader("nonsense\nt\n\nOURS\nv\n 3 \n"), &out, conflicts)
	want := []client.Resolution{
		{Path: "packages.postgresql", Take: "THEIRS"}, {Path: "env.A", Take: "OURS"}, {Path: "env.B", Take: "VALUE", Value: "3"},
	}
	if diff := cmp.Diff(want, takes); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if strings.Contains(out.String(), "\x1b") || !strings.Contains(out.String(), "conflict 1 of 4") {
		t.Errorf("asked:\n%s", out.String())
	}
	for _, in := range []string{"", "q\n", "v\n"} {
		if _, err := askConflicts(strings.NewReader(in), &out, conflicts); nixspace.ErrorCode(err) != "aborted" {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestTakes(t *testing.T) {
	f := resolveFlags{Theirs: true, Take: []string{"postgresql=ours", "env.A=theirs", `env."a=b"=x=y`, "env.C="}}
	got, err := f.resolutions()
	want := client.Resolutions{Prefer: "THEIRS", Takes: []client.Resolution{
		{Path: "postgresql", Take: "OURS"}, {Path: "env.A", Take: "THEIRS"}, {Path: `env."a=b"`, Take: "VALUE", Value: "x=y"}, {Path: "env.C", Take: "VALUE"},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"", "=x", "postgresql"} {
		f := resolveFlags{Take: []string{bad}}
		if _, err := f.resolutions(); nixspace.ErrorCode(err) != "resolution_invalid" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
