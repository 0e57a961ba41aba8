package stack_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nixspace/nixspace/env/manifest"
)

// real are published applications, with what a developer would choose for them by
// hand.
var real = []struct {
	registry, name string
	packages       []string // attributes, all of them
	services       []string
	lacks          []string // packages that are said to be missing
	setup, test    string
}{
	{
		// ^18 || ^20 in engines, yarn 1, MySQL in production. The themes that come
		// with it have their own package.json, and are not installed.
		registry: "npm", name: "ghost@5.100.0",
		packages: []string{"nodejs_20"}, lacks: []string{"mysql"},
		setup: "npx --yes yarn@1 install --frozen-lockfile", test: "npx --yes yarn@1 test",
	},
	{
		// A range with holes, two databases and a cache as direct dependencies.
		registry: "npm", name: "parse-server@7.3.0",
		packages: []string{"nodejs_22", "postgresql_17", "redis"}, services: []string{"postgresql", "redis"}, lacks: []string{"mongodb"},
		setup: "npm install", test: "npm test",
	},
	{
		registry: "npm", name: "verdaccio@6.0.5",
		packages: []string{"nodejs_24"}, setup: "npx --yes -p @yarnpkg/cli-dist@3.8.6 yarn install", test: "npx --yes -p @yarnpkg/cli-dist@3.8.6 yarn test",
	},
	{
		// A web application in Go whose Dev Container runs PostgreSQL 15. Images in
		// which distributions pack it say nothing about how it is developed.
		registry: "go", name: "miniflux.app/v2@v2.2.0",
		packages: []string{"git", "gnumake", "go_1_27", "postgresql_15"}, services: []string{"postgresql"},
		setup: "go mod download", test: "go test ./...",
	},
	{
		// A server in Go with a page in JavaScript in a folder of its own.
		registry: "go", name: "github.com/gotify/server/v2@v2.6.1",
		packages: []string{"git", "gnumake", "go_1_27", "nodejs_24"},
		setup:    "go mod download && (cd ui && npx --yes yarn@1 install --frozen-lockfile)", test: "go test ./...",
	},
	{
		registry: "go", name: "github.com/hibiken/asynq@v0.24.1",
		packages: []string{"git", "gnumake", "go_1_27", "redis"}, services: []string{"redis"},
		setup: "go mod download", test: "go test ./...",
	},
}

// fetch unpacks a published package with the machine's own registry clients.
func fetch(t *testing.T, registry, name string) string {
	t.Helper()
	dir := t.TempDir()
	output := func(command ...string) []byte {
		path, err := exec.LookPath(command[0])
		if err != nil {
			t.Skipf("NOT TESTED: there is no %s on this machine", command[0])
		}
		cmd := exec.CommandContext(t.Context(), path, command[1:]...)
		cmd.Dir = dir
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("NOT TESTED: %s cannot be fetched from its registry: %v\n%s%s", name, err, out, stderr.Bytes())
		}
		return out
	}
	switch registry {
	case "npm":
		output("npm", "pack", "--silent", "--fetch-retries=1", name)
		archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
		if err != nil || len(archives) != 1 {
			t.Fatalf("npm packed %v: %v", archives, err)
		}
		output("tar", "-xzf", archives[0])
		return filepath.Join(dir, "package")
	case "go":
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module unpacked\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		var m struct{ Dir string }
		if err := json.Unmarshal(output("go", "mod", "download", "-json", name), &m); err != nil {
			t.Fatal(err)
		}
		return m.Dir
	}
	t.Fatalf("no registry %s", registry)
	return ""
}

// TestRealApplications treats published packages as repositories.
func TestRealApplications(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED: published packages are not fetched with -short")
	}
	for _, c := range real {
		t.Run(c.name, func(t *testing.T) {
			_, p := makePlan(t, os.DirFS(fetch(t, c.registry, c.name)))
			m, err := manifest.Parse("nixspace.toml", []byte(p.Text))
			if err != nil {
				t.Fatal(err)
			}
			r, err := manifest.Resolve(m, "x86_64-linux", offers)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := strings.Join(r.Attrs(), " "), strings.Join(c.packages, " "); got != want {
				t.Errorf("packages %s, want %s", got, want)
			}
			var services, lacks []string
			for _, name := range manifest.KnownServices() {
				if _, ok := m.Services[name]; ok {
					services = append(services, name)
				}
			}
			for _, l := range p.Lacks {
				if l.Nearest == "" {
					lacks = append(lacks, l.Package)
				}
			}
			if got, want := strings.Join(services, " "), strings.Join(c.services, " "); got != want {
				t.Errorf("services %s, want %s", got, want)
			}
			if got, want := strings.Join(lacks, " "), strings.Join(c.lacks, " "); got != want {
				t.Errorf("missing: %s, want %s", got, want)
			}
			if !strings.HasPrefix(m.Scripts["setup"], c.setup) {
				t.Errorf("setup is %q, want %q", m.Scripts["setup"], c.setup)
			}
			if !strings.HasPrefix(m.Scripts["test"], c.test) {
				t.Errorf("test is %q, want %q", m.Scripts["test"], c.test)
			}
			if t.Failed() {
				t.Log(p.Text)
			}
		})
	}
}
