package vmtest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
)

// debianPostgres is where Debian keeps the programs of a PostgreSQL, below /usr.
const debianPostgres = "lib/postgresql/15"

// PostgreSQL adds the host's PostgreSQL 15 to the kit's store, with the libraries
// that it needs, and returns its layer, store path and a service that runs it. It
// skips the test, loudly, where the host has none.
func (k *Kit) PostgreSQL(ctx context.Context, t testing.TB) (nixspace.StoreLayer, string, nixspace.Service) {
	t.Helper()
	if _, err := os.Stat("/usr/" + debianPostgres + "/bin/postgres"); err != nil {
		t.Skipf("there is no PostgreSQL 15 of Debian's on this host (%v): a machine with one is NOT tested", err)
	}
	name := strings.Repeat("p", 32) + "-vmtest-postgresql"
	dir := filepath.Join(k.Store, name)
	for _, part := range []string{debianPostgres + "/bin", debianPostgres + "/lib", "share/postgresql/15"} {
		// With its places relative to each other, PostgreSQL finds everything.
		if err := copyTree(filepath.Join("/usr", part), filepath.Join(dir, part)); err != nil {
			t.Fatal(err)
		}
	}
	programs := []string{"postgres", "initdb", "psql", "pg_dumpall", "pg_dump", "pg_amcheck", "pgbench"}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	needs := []string{"/bin/dash", "/usr/" + debianPostgres + "/lib/plpgsql.so", "/usr/" + debianPostgres + "/lib/amcheck.so"}
	for _, p := range programs {
		needs = append(needs, "/usr/"+debianPostgres+"/bin/"+p)
		if err := os.Symlink("../"+debianPostgres+"/bin/"+p, filepath.Join(dir, "bin", p)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(ctx, "ldd", needs...).Output()
	if err != nil {
		t.Fatalf("find the libraries of PostgreSQL: %v", err)
	}
	for _, word := range strings.Fields(string(out)) {
		if !strings.HasPrefix(word, "/") || !strings.Contains(word, ".so") || strings.HasSuffix(word, ":") {
			continue
		}
		if err := copyInto(word, filepath.Join(dir, "lib", filepath.Base(word)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// initdb asks a shell to run its programs.
	sh := filepath.Join(k.Store, strings.TrimPrefix(k.Base, nixspace.StoreDir+"/"), "bin/sh")
	if err := os.Remove(sh); err != nil {
		t.Fatal(err)
	}
	if err := copyInto("/bin/dash", sh, 0o755); err != nil {
		t.Fatal(err)
	}
	path := nixspace.StoreDir + "/" + name
	return nixspace.StoreLayer{Name: "postgresql", Paths: []string{path}}, path, nixspace.Service{
		Name: "postgresql", Early: true, Dir: "/data",
		Argv:     []string{"postgres", "-D", "/data/postgresql", "-k", "/run/postgresql", "-c", "listen_addresses="},
		Dirs:     []nixspace.ServiceDir{{Path: "/run/postgresql", Mode: 0o755}},
		Init:     [][]string{{"initdb", "-D", "/data/postgresql", "-U", "dev", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"}},
		InitDone: "/data/postgresql/PG_VERSION",
		Ready: nixspace.Probe{
			Unix: "/run/postgresql/.s.PGSQL.5432",
			Exec: []string{"psql", "-XAtqc", "select 1", "postgres"},
		},
		StopSignal: "SIGINT",
	}
}

// PostgreSQLEnv are the variables of a machine with the PostgreSQL at path.
func PostgreSQLEnv(path string) map[string]string {
	return map[string]string{"LD_LIBRARY_PATH": path + "/lib", "PGHOST": "/run/postgresql", "PGUSER": "dev", "PGDATABASE": "postgres"}
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case e.IsDir() && (e.Name() == "bitcode" || e.Name() == "man"):
			return fs.SkipDir
		case e.IsDir():
			return os.MkdirAll(target, 0o755)
		}
		info, err := os.Stat(path) // what a link means, wherever that lies
		if err != nil {
			return fmt.Errorf("copy %s: %w", path, err)
		}
		return copyInto(path, target, info.Mode().Perm()|0o444)
	})
}

func copyInto(from, to string, perm fs.FileMode) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, perm)
}
