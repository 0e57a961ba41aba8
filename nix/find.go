package nix

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

// The oldest Nix that is supported.
const minMajor, minMinor = 2, 8

// wellKnown are places where installers of Nix put it, without being in PATH of
// every program.
var wellKnown = []string{
	"/nix/var/nix/profiles/default/bin",
	"/run/current-system/sw/bin",
	"/usr/local/bin",
	"/usr/bin",
}

// Find returns the path of the program nix: bin itself when it is not empty, else
// the one in PATH or in a usual place. It fails with code "nix_missing".
func Find(bin string) (string, error) {
	if bin != "" {
		p, err := exec.LookPath(bin)
		if err != nil {
			return "", missing("%s is not a program that can be run", bin)
		}
		return filepath.Abs(p)
	}
	if p, err := exec.LookPath("nix"); err == nil {
		return filepath.Abs(p)
	}
	dirs := wellKnown
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append([]string{filepath.Join(home, ".nix-profile/bin")}, dirs...)
	}
	for _, dir := range dirs {
		if p, err := exec.LookPath(filepath.Join(dir, "nix")); err == nil {
			return p, nil
		}
	}
	return "", missing("there is no program nix on this machine")
}

func missing(format string, args ...any) error {
	return nixspace.Errorf(nixspace.KindUnavailable, "nix_missing", format, args...).
		WithHint("install Nix %d.%d or newer: on Debian and Ubuntu the package is nix-bin, on Fedora nix", minMajor, minMinor)
}

var versionPattern = regexp.MustCompile(`(\d+)\.(\d+)[0-9a-z.+_-]*\s*$`)

// parseVersion reads what "nix --version" prints: "nix (Nix) 2.8.0".
func parseVersion(s string) (version string, major, minor int, err error) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return "", 0, 0, fmt.Errorf("%.80q names no version of Nix", s)
	}
	if major, err = strconv.Atoi(m[1]); err == nil {
		minor, err = strconv.Atoi(m[2])
	}
	if err != nil {
		return "", 0, 0, fmt.Errorf("%.80q names no version of Nix", s)
	}
	return strings.TrimSpace(m[0]), major, minor, nil
}

// detect runs nix to learn its version, and refuses one that is too old.
func (e *Engine) detect(ctx context.Context) error {
	out, err := e.run(ctx, Command{Args: []string{"--version"}})
	if err != nil {
		return missing("%s does not run: %w", e.bin, err)
	}
	version, major, minor, err := parseVersion(string(out))
	if err != nil {
		return missing("%s is not Nix: %w", e.bin, err)
	}
	if major < minMajor || major == minMajor && minor < minMinor {
		return nixspace.Errorf(nixspace.KindUnavailable, "nix_too_old", "%s is Nix %s", e.bin, version).
			WithHint("install Nix %d.%d or newer", minMajor, minMinor)
	}
	e.version = version
	return nil
}
