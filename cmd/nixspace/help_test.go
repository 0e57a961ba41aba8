package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

var updateHelp = flag.Bool("update-help", false, "write the golden files of the help again")

// TestHelp compares what every verb says of itself with testdata/help.
func TestHelp(t *testing.T) {
	var tree commands
	parser, err := newParser(&tree, streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		t.Run(strings.Join(append([]string{"nixspace"}, path...), "-"), func(t *testing.T) {
			var out, errw bytes.Buffer
			code := run(context.Background(), append(path[:len(path):len(path)], "--help"), streams{In: &bytes.Buffer{}, Out: &out, Err: &errw})
			if code != 0 || errw.Len() > 0 {
				t.Fatalf("exit code %d, %s", code, errw.String())
			}
			golden := filepath.Join("testdata", "help", filepath.Base(t.Name())+".txt")
			if *updateHelp {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("help differs (-want +got); go test ./cmd/nixspace -run TestHelp -update-help writes it again\n%s", diff)
			}
		})
		for _, child := range n.Children {
			walk(child, append(path[:len(path):len(path)], child.Name))
		}
	}
	walk(parser.Model.Node, nil)
}

// TestUsageErrors checks that wrong use ends with code 2 and says what to do.
func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string // in what is printed
	}{
		{[]string{"frobnicate"}, "see nixspace --help"},
		{[]string{"branch", "shop"}, "see nixspace branch --help"},
		{[]string{"list", "everything"}, "environments"},
		{[]string{"exec", "shop/1"}, "put it after --"},
		{[]string{"exec", "shop/1", "psql"}, "put -- before the command"},
		{[]string{"run", "shop", "npm", "test"}, "put it after --"},
		{[]string{"run", "shop", "pg13", "-t", "--", "sh"}, "leave out --tty"},
		{[]string{"set", "shop", "postgresql"}, "write KEY=VALUE"},
		{[]string{"add", "shop", "redis@"}, "write PACKAGE or PACKAGE@VERSION"},
		{[]string{"branch", "shop", "Über"}, "use 1 to 63"},
		{[]string{"create", "7", "."}, "use 1 to 63"},
		{[]string{"--url", "ftp://x", "list"}, "give a URL"},
		{[]string{"show", "shop", "--flake", "--lock"}, "can't be used together"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var out, errw bytes.Buffer
			code := run(context.Background(), tt.args, streams{In: &bytes.Buffer{}, Out: &out, Err: &errw})
			if code != 2 || !strings.HasPrefix(errw.String(), "error: ") || !strings.Contains(errw.String(), tt.want) || out.Len() > 0 {
				t.Errorf("exit code %d, output %q, error %q; want 2 and %q", code, out.String(), errw.String(), tt.want)
			}
		})
	}
}
