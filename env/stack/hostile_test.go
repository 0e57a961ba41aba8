package stack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
	"github.com/nixspace/nixspace/env/stack/plan"
)

// makePlan makes a plan of a repository, which must work for any.
func makePlan(t testing.TB, fsys fs.FS) (stack.Report, *plan.Plan) {
	t.Helper()
	r, err := stack.Detect(fsys)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(r, offers, plan.Options{Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse("nixspace.toml", []byte(p.Text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.Resolve(m, "x86_64-linux", offers); err != nil {
		t.Fatalf("the plan does not resolve: %v\n%s", err, p.Text)
	}
	return r, p
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestLinks holds that links are not followed, wherever they go, and that devices
// and pipes are not opened.
func TestLinks(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "version"), []byte("20\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, to := range map[string]string{
		".nvmrc": filepath.Join(outside, "version"), "loop": ".", "package.json": "package.json", "go.mod": "/dev/zero", "away": outside,
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r, p := makePlan(t, os.DirFS(dir))
	if len(r.Needs)+len(r.Services) > 0 || len(p.Choices) > 0 {
		t.Errorf("links were followed: %+v", r)
	}
}

// TestBounds holds that what is too much is noted and left.
func TestBounds(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o644} }
	fsys := fstest.MapFS{
		"package.json":                     file(strings.Repeat(" ", stack.MaxFile+1)),
		".nvmrc":                           file("20"),
		"a/b/c/.python-version":            file("3.13"),
		"a/b/c/d/.ruby-version":            file("3.3"),
		"compose.yaml":                     file("services:\n  db: {image: postgres:15}\n" + strings.Repeat("# x\n", 1000)),
		".tool-versions":                   file(strings.Repeat("x", 1<<19) + " 1\nredis 8\n"),
		"Makefile":                         file(strings.Repeat("a", 1<<19) + ": b\ntest:\n\ttrue\n"),
		"node_modules/x/.nvmrc":            file("18"),
		"requirements.txt":                 file("psycopg\xff\xfe>=1\n\x00\nredis\n"),
		"many/" + strings.Repeat("n", 200): file(""),
	}
	for i := range stack.MaxFolders + 10 {
		fsys[fmt.Sprintf("many/f%04d/.nvmrc", i)] = file("22")
	}
	r, p := makePlan(t, fsys)
	notes := asJSON(t, r.Notes)
	for _, want := range []string{"larger than", "only the first"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note has %q: %s", want, notes)
		}
	}
	for _, n := range r.Needs {
		if n.Family == "ruby" || strings.Contains(n.File, "node_modules") {
			t.Errorf("%s was read", n.File)
		}
	}
	for _, want := range []string{`nodejs = "20"`, `postgresql = "15"`, `python3 = "3.13"`, `redis = "8"`, "make test"} {
		if !strings.Contains(p.Text, want) {
			t.Errorf("the manifest has no %q:\n%s", want, p.Text)
		}
	}
	if len(p.Text) > manifest.MaxSize {
		t.Errorf("the manifest has %d bytes", len(p.Text))
	}
}

// TestTooMuch holds that a manifest stays within its bounds whatever there is.
func TestTooMuch(t *testing.T) {
	var tools, env, procs, scripts strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&tools, "tool%d %d.0\n", i, i)
		fmt.Fprintf(&env, "DATABASE_URL_%d=postgres://h:%d/db%d\nPORT=%d\n", i, 6000+i, i, 7000+i)
		fmt.Fprintf(&procs, "p%d: run --port %d\n", i, 1000+i)
		fmt.Fprintf(&scripts, "%q: %q,", fmt.Sprint("s", i), strings.Repeat("x", 100))
	}
	fsys := fstest.MapFS{}
	for name, text := range map[string]string{
		".tool-versions": tools.String(), ".env.example": env.String(), "Procfile": procs.String(),
		"package.json": `{"scripts": {` + scripts.String() + `"test": "x"}}`,
	} {
		fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	_, p := makePlan(t, fsys)
	if len(p.Text) > manifest.MaxSize {
		t.Errorf("the manifest has %d bytes", len(p.Text))
	}
}

// TestLong gives every detector a file of a megabyte that it has much to do with.
// The bound is no measurement: only something like a square would break it.
func TestLong(t *testing.T) {
	for name, line := range map[string]string{
		"requirements.txt": "redis\n", ".tool-versions": "nodejs 20\n", "mise.toml": "[tools]\nnode = \"20\"\n", "Gemfile": "gem \"pg\"\n", "Makefile": "test build:\n",
		"Procfile": "web: redis-server\n", ".env.example": "DATABASE_URL=postgres://h/db\n", "Dockerfile": "FROM node:20\nEXPOSE 1\n",
		"build.gradle": "implementation 'redis.clients:jedis:1'\n", "mix.exs": "{:redix, 1}\n", "go.mod": "require github.com/lib/pq v1.0.0\n",
		"devenv.nix": "services.redis.enable = true;\n", "shell.nix": "packages = [ git ];\n", "setup.py": "python_requires='>=3'\n", "setup.cfg": "python_requires=>=3\n",
		"schema.prisma": "provider = \"postgresql\"\n", "compose.yaml": "- a\n", "pom.xml": "<a/>\n", "pyproject.toml": "[[a]]\n", ".sdkmanrc": "java=17\n",
	} {
		text := strings.Repeat(line, stack.MaxFile/len(line))
		if name == "devenv.nix" || name == "shell.nix" {
			text = "{ pkgs }: {\n" + text[:len(text)-100] + "\n}"
		}
		begin := time.Now()
		makePlan(t, fstest.MapFS{name: &fstest.MapFile{Data: []byte(text), Mode: 0o644}})
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("%s took %v", name, took)
		} else {
			t.Logf("%s took %v", name, took)
		}
	}
}

func TestUnreadable(t *testing.T) {
	_, err := stack.Detect(os.DirFS(filepath.Join(t.TempDir(), "nothing")))
	if !errors.Is(err, &nixspace.Error{Code: "repository_unreadable"}) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := plan.Make(stack.Report{}, nil, plan.Options{}); !errors.Is(err, &nixspace.Error{Code: "offers_missing"}) {
		t.Errorf("a source of nothing: %v", err)
	}
}

// TestNoSecret holds that values of variables reach nothing that anybody sees.
func TestNoSecret(t *testing.T) {
	r, p := makePlan(t, repository(t, "testdata/env-example.txtar"))
	all := asJSON(t, r) + asJSON(t, p)
	if !strings.Contains(all, "API_KEY") {
		t.Error("no variable is in the report")
	}
	for _, secret := range []string{"hunter2", "sk-live", "guest", "real-password"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is in the report", secret)
		}
	}
}

// files are the names that detectors look for, for the fuzzer.
var files = []string{
	".nvmrc", ".python-version", ".tool-versions", "mise.toml", "rust-toolchain", "rust-toolchain.toml", "global.json", ".sdkmanrc",
	"flake.nix", "shell.nix", "devenv.nix", "devbox.json", ".devcontainer.json", "package.json", "schema.prisma",
	"pyproject.toml", "requirements.txt", "Pipfile", "setup.py", "setup.cfg", "go.mod", "go.work", "Cargo.toml", "Gemfile", "Gemfile.lock",
	"pom.xml", "build.gradle", "composer.json", "mix.exs", "a.csproj", "compose.yaml", "Procfile", ".env.example", "Dockerfile", "Makefile",
	"../x", "a b/package.json", "a'b/go.mod", "$(x)/package.json",
	".node-version", ".bun-version", ".go-version", ".java-version", ".php-version", ".ruby-version", ".terraform-version", ".mise.toml", "runtime.txt",
	".yarnrc.yml", "pnpm-workspace.yaml", "lerna.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "uv.lock", "poetry.lock", "pdm.lock",
	"build.gradle.kts", "settings.gradle", "settings.gradle.kts", "a.fsproj", "docker-compose.yml", "docker-compose.override.yml", "Procfile.dev",
	".devcontainer/devcontainer.json", "Containerfile", "GNUmakefile", "requirements-dev.txt", "environment.yml", "Cargo.lock", ".gitmodules", "phpunit.xml",
}

// FuzzDetect gives one detector any bytes: a valid manifest comes of all.
func FuzzDetect(f *testing.F) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, a := range archives {
		for name, file := range repository(f, a) {
			for i, known := range files {
				if known == name {
					f.Add(uint8(i), file.Data)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		name := files[int(which)%len(files)]
		if !fs.ValidPath(name) {
			return
		}
		r, _ := makePlan(t, fstest.MapFS{name: &fstest.MapFile{Data: data, Mode: 0o644}})
		again, err := stack.Detect(fstest.MapFS{name: &fstest.MapFile{Data: data, Mode: 0o644}})
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("two detections differ")
		}
	})
}
