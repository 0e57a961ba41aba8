package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Go is the go command with a module cache of its own. It is safe for
// concurrent use.
type Go struct{ dir string }

// NewGo returns a client that keeps its files under dir.
func NewGo(dir string) *Go { return &Go{dir: dir} }

func (g *Go) run(ctx context.Context, args ...string) ([]byte, error) {
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("prepare go: %w", err)
	}
	env := []string{
		"GOPATH=" + g.dir, "GOMODCACHE=" + filepath.Join(g.dir, "mod"), "GOCACHE=" + filepath.Join(g.dir, "build"),
		"GOFLAGS=-modcacherw", "GOTOOLCHAIN=local", "GOWORK=off", "GO111MODULE=on",
	}
	// go keeps counters in the configuration directory; its settings must still
	// be found in the real one.
	if config, err := os.UserConfigDir(); err == nil && os.Getenv("GOENV") == "" {
		env = append(env, "GOENV="+filepath.Join(config, "go", "env"))
	}
	env = append(env, "XDG_CONFIG_HOME="+filepath.Join(g.dir, "config"))
	return output(ctx, g.dir, env, "go", args...)
}

// Versions returns all versions of a module.
func (g *Go) Versions(ctx context.Context, module string) ([]string, error) {
	out, err := g.run(ctx, "list", "-m", "-versions", module)
	if err != nil {
		return nil, err
	}
	f := strings.Fields(string(out))
	if len(f) < 2 || f[0] != module {
		return nil, fmt.Errorf("go list %s: no versions", module)
	}
	return f[1:], nil
}

// Download fetches a module version and returns the path of its zip in the
// module cache and the hash ("h1:…") that go checked against the checksum
// database. Call [Go.Drop] when the zip is no longer needed.
func (g *Go) Download(ctx context.Context, module, version string) (zip, sum string, err error) {
	out, err := g.run(ctx, "mod", "download", "-json", module+"@"+version)
	if err != nil {
		return "", "", err
	}
	var got struct{ Zip, Sum, Error string }
	if err := json.Unmarshal(out, &got); err != nil || got.Zip == "" {
		return "", "", fmt.Errorf("go mod download %s@%s: unexpected answer %s", module, version, got.Error)
	}
	return got.Zip, got.Sum, nil
}

// Drop removes the module cache.
func (g *Go) Drop() error { return os.RemoveAll(g.dir) }
