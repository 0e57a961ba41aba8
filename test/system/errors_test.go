//go:build system

package system

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// badInput sends what a user can get wrong to a running server with the quick
// start's project, and looks at the one error that comes back.
func badInput(t *testing.T, state string) {
	folder := func(manifest string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "nixspace.toml"), []byte(manifest), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	bare := t.TempDir() // code, but no manifest
	if err := os.WriteFile(filepath.Join(bare, "main.js"), []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code string   // the stable error code
		says []string // parts of the message or hint
		exit int
	}{
		{"garbage TOML", []string{"create", "bad1", folder("schema = 1\n[packages\nnodejs = 22")}, "manifest_invalid", []string{"nixspace.toml:2:"}, 2},
		{"an unknown key", []string{"create", "bad2", folder("schema = 1\n[packages]\nnodejs = \"22\"\n[enviroment]\nA = \"b\"\n")}, "manifest_invalid", []string{"enviroment", "env"}, 2},
		{"an unknown package", []string{"branch", "shop", "bad3", "--add", "postgressql=15"}, "package_unknown", []string{"postgressql", "postgresql"}, 2},
		{"a version that is not there", []string{"branch", "shop", "bad4", "--set", "postgresql=12"}, "version_unknown", []string{"12", "13.", "18."}, 2},
		{"an environment that exists", []string{"branch", "shop", "pg13"}, "", []string{"pg13"}, 4},
		{"an environment that does not", []string{"show", "pg99"}, "", []string{"pg99"}, 3},
		{"a name that cannot be", []string{"branch", "shop", "Über"}, "name_invalid", nil, 2},
		{"a session of no number", []string{"exec", "pg13/77", "--", "true"}, "", nil, 125},
		{"a command that is not there", []string{"exec", "pg13/1", "--", "no-such-program"}, "command_not_found", []string{"no-such-program"}, 125},
		{"a folder without a manifest", []string{"create", "bad5", bare}, "", []string{"nixspace.toml"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := cli(t, state, append([]string{"--json"}, c.args...)...)
			if r.code != c.exit {
				t.Errorf("exit code %d, want %d", r.code, c.exit)
			}
			if c.code != "" {
				var e struct {
					Error struct{ Code, Message, Hint string }
				}
				if err := json.Unmarshal([]byte(r.stderr), &e); err != nil {
					t.Fatalf("the error is no JSON: %v\n%s", err, r.stderr)
				}
				if e.Error.Code != c.code {
					t.Errorf("code %q, want %q", e.Error.Code, c.code)
				}
			}
			for _, part := range c.says {
				if !strings.Contains(r.stderr, part) {
					t.Errorf("the error does not say %q: %s", part, r.stderr)
				}
			}
			if strings.Contains(r.stderr, "goroutine") || strings.Contains(r.stderr, ".go:") {
				t.Errorf("the error shows the program's inside: %s", r.stderr)
			}
		})
	}
}
