package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

// Binaries is an installation of the PostgreSQL server.
type Binaries struct {
	Dir     string // holds postgres and initdb
	Major   int    // 15
	Version string // "15.18"
}

// Postgres returns the path of the server program.
func (b Binaries) Postgres() string { return filepath.Join(b.Dir, "postgres") }

// Initdb returns the path of the program that makes a data directory.
func (b Binaries) Initdb() string { return filepath.Join(b.Dir, "initdb") }

// minMajor is the oldest major version whose SQL the stores are written for.
const minMajor = 13

// installed is where distributions keep servers of several major versions side
// by side: Debian and Ubuntu, then Fedora and RHEL with PostgreSQL's own packages.
var installed = []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"}

// FindBinaries looks for a PostgreSQL server in dir and nowhere else; when dir is
// empty, in the directories of PATH and where distributions install it. Of the
// servers that it finds it returns one of the major version major, or, when
// major is 0, the newest. It fails with code "postgres_missing" when there is
// none, and with "postgres_version" when there are only others.
func FindBinaries(ctx context.Context, dir string, major int) (Binaries, error) {
	var dirs []string
	if dir != "" {
		dirs = []string{dir}
	} else {
		dirs = filepath.SplitList(os.Getenv("PATH"))
		for _, pattern := range installed {
			// Glob fails only on a malformed pattern, and these are constants.
			found, _ := filepath.Glob(pattern)
			dirs = append(dirs, found...)
		}
	}
	var all []Binaries
	var broken []error
	seen := map[string]bool{}
	for _, d := range dirs {
		if d == "" || !filepath.IsAbs(d) {
			continue // a relative entry of PATH depends on where we were started
		}
		// Debian's wrapper directory and a merged /bin name the same files twice.
		real, err := filepath.EvalSymlinks(filepath.Join(d, "postgres"))
		if err != nil || seen[real] {
			continue
		}
		seen[real] = true
		b, err := inspect(ctx, filepath.Dir(real))
		if err != nil {
			broken = append(broken, err)
			continue
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		return Binaries{}, missing(dir, errors.Join(broken...))
	}
	slices.SortStableFunc(all, func(a, b Binaries) int { return b.Major - a.Major })
	if major == 0 {
		if all[0].Major < minMajor {
			return Binaries{}, nixspace.Errorf(nixspace.KindUnavailable, "postgres_version",
				"PostgreSQL %s in %s is too old", all[0].Version, all[0].Dir).
				WithHint("install PostgreSQL %d or newer", minMajor)
		}
		return all[0], nil
	}
	for _, b := range all {
		if b.Major == major {
			return b, nil
		}
	}
	return all[0], nixspace.Errorf(nixspace.KindUnavailable, "postgres_version",
		"the database was made by PostgreSQL %d, but only PostgreSQL %s is installed (in %s)", major, all[0].Version, all[0].Dir)
}

func missing(dir string, cause error) error {
	e := nixspace.Errorf(nixspace.KindUnavailable, "postgres_missing", "no PostgreSQL server was found on this machine")
	if dir != "" {
		e = nixspace.Errorf(nixspace.KindUnavailable, "postgres_missing", "no PostgreSQL server was found in %s", dir)
	}
	e.Err = cause
	return e.WithHint("install one (Debian and Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; " +
		"NixOS: nix profile install nixpkgs#postgresql), set NIXSPACE_PG_BIN to the directory that holds postgres and initdb, " +
		"or use a server that runs already with --database-url")
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[^\s]*)`)

// inspect asks the server in dir for its version.
func inspect(ctx context.Context, dir string) (Binaries, error) {
	b := Binaries{Dir: dir}
	if _, err := os.Stat(b.Initdb()); err != nil {
		return b, fmt.Errorf("find initdb beside postgres: %w", err)
	}
	out, err := exec.CommandContext(ctx, b.Postgres(), "--version").Output()
	if err != nil {
		return b, fmt.Errorf("ask %s for its version: %w", b.Postgres(), err)
	}
	m := versionPattern.FindStringSubmatch(string(out))
	if m == nil {
		return b, fmt.Errorf("ask %s for its version: unexpected answer %q", b.Postgres(), strings.TrimSpace(string(out)))
	}
	b.Version = m[1]
	if b.Major, err = strconv.Atoi(m[2]); err != nil {
		return b, fmt.Errorf("read the version of %s: %w", b.Postgres(), err)
	}
	return b, nil
}
