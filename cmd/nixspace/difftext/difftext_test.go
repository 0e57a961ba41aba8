package difftext

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

var update = flag.Bool("update", false, "write the golden files again")

func golden(t *testing.T, name string, write func(*bytes.Buffer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got; -update writes it again):\n%s", file, diff)
	}
}

func example() *client.Diff {
	return &client.Diff{
		FromRef: "shop/shop", ToRef: "shop/pg14",
		From: &client.DiffVersion{Hash: "0123456789abcdef"}, To: client.DiffVersion{Hash: "fedcba9876543210"},
		Changes: []client.Change{
			{Op: "set", Path: "packages.postgresql", From: "15 (15.18)", To: "14 (14.23)"},
			{Op: "add", Path: "env.DEBUG", To: "1\x1b[31m"},
			{Op: "remove", Path: "scripts.test", From: "node --test"},
		},
		Closure: &client.ClosureDiff{
			From: client.ClosureTotal{Paths: 84, Size: 344 << 20}, To: client.ClosureTotal{Paths: 85, Size: 351<<20 + 200}, Growth: 7<<20 + 200,
			Packages: []client.PackageDiff{
				{Kind: "upgraded", Name: "icu", From: []string{"72.1"}, To: []string{"72.1", "76.1"}, FromSize: 30 << 20, ToSize: 65 << 20},
				{Kind: "removed", Name: "redis", From: []string{"8.0.2"}, FromSize: 6 << 20, Asked: true},
				{Kind: "downgraded", Name: "postgresql", From: []string{"15.18"}, To: []string{"14.23"}, FromSize: 54 << 20, ToSize: 52 << 20, Asked: true},
				{Kind: "rebuilt", Name: "git", From: []string{"2.47.3"}, To: []string{"2.47.3"}, FromSize: 40 << 20, ToSize: 40 << 20, Asked: true},
				{Kind: "added", Name: "hooks", To: []string{""}, ToSize: 12},
			},
			Paths: []client.PathDiff{
				{Kind: "added", Name: "icu", To: "/nix/store/icu", ToVersion: "76.1", ToSize: 35 << 20, Growth: 35 << 20, Via: []string{"nodejs", "postgresql"}},
				{Kind: "rebuilt", Name: "shop-env", From: "/nix/store/a", To: "/nix/store/b", FromSize: 800, ToSize: 1000, Growth: 200},
				{Kind: "rebuilt", Name: "git", From: "/nix/store/c", To: "/nix/store/d", FromVersion: "2.47.3", ToVersion: "2.47.3", FromSize: 40 << 20, ToSize: 40 << 20, Via: []string{"git"}},
				{Kind: "downgraded", Name: "postgresql", From: "/nix/store/e", To: "/nix/store/f", FromVersion: "15.18", ToVersion: "14.23", FromSize: 54 << 20, ToSize: 52 << 20, Growth: -2 << 20, Via: []string{"postgresql"}},
				{Kind: "removed", Name: "redis", From: "/nix/store/g", FromVersion: "8.0.2", FromSize: 6 << 20, Growth: -6 << 20, Via: []string{"redis"}},
			},
			Causes: []client.DiffCause{
				{Roots: []string{"nodejs", "postgresql"}, Added: 35 << 20, Growth: 35 << 20, Paths: []int{0}},
				{Roots: []string{"redis"}, Removed: 6 << 20, Growth: -6 << 20, Paths: []int{4}},
				{Roots: []string{"a", "b", "c", "d"}, Removed: 2 << 20, Growth: -2 << 20, Paths: []int{0, 1, 2, 3, 4}},
				{Added: 1000, Removed: 800, Growth: 200, Paths: []int{1}},
				{Roots: []string{"git"}, Added: 40 << 20, Removed: 40 << 20, Paths: []int{2}},
			},
		},
	}
}

func TestWrite(t *testing.T) {
	all := Depths{Manifest: true, Packages: true, Closure: true}
	golden(t, "all.txt", func(b *bytes.Buffer) error { return Write(b, example(), all, term.Paint{}) })
	golden(t, "paths.txt", func(b *bytes.Buffer) error {
		return Write(b, example(), Depths{Closure: true, Paths: true}, term.Paint{})
	})
	golden(t, "brief.txt", func(b *bytes.Buffer) error {
		d := example()
		for i := range 12 {
			d.Closure.Packages = append(d.Closure.Packages, client.PackageDiff{Kind: "added", Name: fmt.Sprintf("lib%d", i), To: []string{"1"}, ToSize: int64(1000 * (i + 1))})
		}
		return Write(b, d, Depths{Packages: true, Brief: true}, term.Paint{})
	})
	golden(t, "unbuilt.txt", func(b *bytes.Buffer) error {
		d := example()
		d.From, d.FromRef, d.Closure, d.Unbuilt = nil, "", nil, []string{"shop/pg14"}
		return Write(b, d, all, term.Paint{})
	})
}

func TestWriteWhy(t *testing.T) {
	step := func(depth int, name, version string, size int64) client.ReasonStep {
		return client.ReasonStep{Depth: depth, Name: name, Version: version, Size: size, Target: name == "openssl"}
	}
	above := step(2, "icu", "72.1", 35<<20)
	above.Repeated = true
	rs := &client.Reasons{Ref: "shop/shop", Reasons: []client.Reason{
		{Path: "/nix/store/x-openssl-3.0.1", Name: "openssl", Version: "3.0.1", Size: 6 << 20, ClosureSize: 50 << 20, Paths: 3, Steps: []client.ReasonStep{
			step(0, "shop-env", "", 900), step(1, "postgresql", "15.18", 54<<20), step(2, "openssl", "3.0.1", 6<<20),
		}},
		{Path: "/nix/store/y-openssl-1.1.1", Name: "openssl", Version: "1.1.1", Size: 5 << 20, ClosureSize: 49 << 20, Paths: 3, Truncated: true, Steps: []client.ReasonStep{
			step(0, "shop-env", "", 900), step(1, "git", "2.47.3", 40<<20), step(2, "icu", "72.1", 35<<20), step(3, "openssl", "1.1.1", 5<<20),
			step(2, "openssl", "1.1.1", 5<<20), step(1, "postgresql", "15.18", 54<<20), above,
		}},
	}}
	golden(t, "why.txt", func(b *bytes.Buffer) error { return WriteWhy(b, rs, term.Paint{}) })
}
