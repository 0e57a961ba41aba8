package registry

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Npm is the npm client with a cache of its own. It is safe for concurrent use.
type Npm struct{ dir string }

// NewNpm returns a client that keeps its files under dir.
func NewNpm(dir string) *Npm { return &Npm{dir: dir} }

func (n *Npm) run(ctx context.Context, dir string, args ...string) ([]byte, error) {
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return nil, fmt.Errorf("prepare npm: %w", err)
	}
	args = append(args, "--json", "--loglevel=error", "--cache="+filepath.Join(n.dir, "cache"),
		"--logs-max=0", "--no-update-notifier", "--no-fund", "--no-audit", "--ignore-scripts")
	return output(ctx, dir, nil, "npm", args...)
}

// Versions returns all published versions of a package.
func (n *Npm) Versions(ctx context.Context, pkg string) ([]string, error) {
	out, err := n.run(ctx, n.dir, "view", pkg, "versions")
	if err != nil {
		return nil, err
	}
	var versions []string
	if err := json.Unmarshal(out, &versions); err != nil {
		var one string
		if json.Unmarshal(out, &one) != nil {
			return nil, fmt.Errorf("read versions of %s: %w", pkg, err)
		}
		versions = []string{one}
	}
	return versions, nil
}

// SHA512 returns the hash, in lower-case hex, that the registry promises for a
// version of a package.
func (n *Npm) SHA512(ctx context.Context, pkg, version string) (string, error) {
	out, err := n.run(ctx, n.dir, "view", pkg+"@"+version, "dist.integrity")
	if err != nil {
		return "", err
	}
	var integrity string
	if err := json.Unmarshal(out, &integrity); err != nil {
		return "", fmt.Errorf("read integrity of %s@%s: %w", pkg, version, err)
	}
	b64, ok := strings.CutPrefix(integrity, "sha512-")
	raw, err := base64.StdEncoding.DecodeString(b64)
	if !ok || err != nil || len(raw) != 64 {
		return "", fmt.Errorf("integrity of %s@%s is not a SHA-512: %q", pkg, version, integrity)
	}
	return hex.EncodeToString(raw), nil
}

// Pack fetches the archive of a version into an empty directory and returns
// its path.
func (n *Npm) Pack(ctx context.Context, dir, pkg, version string) (string, error) {
	if _, err := n.run(ctx, dir, "pack", pkg+"@"+version); err != nil {
		return "", err
	}
	// What npm prints about the file differs between its versions.
	files, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("npm pack %s@%s: found %d archives: %w", pkg, version, len(files), err)
	}
	return files[0], nil
}
