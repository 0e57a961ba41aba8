//go:build system

package system

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFirstStart starts the first sessions of two environments with one PostgreSQL:
// neither of them makes its cluster in the machine, and each has one of its own.
func TestFirstStart(t *testing.T) {
	state := stateDir(t)
	s := up(t, state, "--no-quickstart")
	defer s.interrupt()
	seen := map[string]string{}
	for name, memory := range map[string]string{"one": "512MiB", "two": "640MiB"} { // and so two templates
		dir := t.TempDir()
		text := "schema = 1\n[packages]\npostgresql = \"15\"\n[services.postgresql]\ndatabases = [\"shop\"]\n[resources]\nmemory = \"" + memory + "\"\n"
		if err := os.WriteFile(filepath.Join(dir, "nixspace.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		ok(t, state, "create", name, dir)
		ok(t, state, "start", name)
		id := strings.TrimSpace(ok(t, state, "exec", name+"/1", "--", "psql", "-XAtqc",
			"create table t (n int); select system_identifier || ' ' || current_database() from pg_control_system()"))
		if other := seen[id]; other != "" || !strings.HasSuffix(id, " shop") {
			t.Errorf("the cluster of %s is %q, as that of %q", name, id, other)
		}
		seen[id] = name
		if log := ok(t, state, "logs", name+"/1", "postgresql"); strings.Contains(log, "initdb") || strings.Contains(log, "The files belonging to this database system") {
			t.Errorf("the machine of %s made its cluster itself:\n%s", name, log)
		}
		if owner := ok(t, state, "exec", name+"/1", "--", "sh", "-c", "stat -c '%U %a' /data/postgresql /data/postgresql/PG_VERSION"); owner != "dev 700\ndev 600\n" {
			t.Errorf("whose files those are: %s", owner)
		}
		ok(t, state, "stop", name+"/1")
		ok(t, state, "start", name+"/1")
		if again := ok(t, state, "exec", name+"/1", "--", "psql", "-XAtqc", "select count(*) from t"); again != "0\n" {
			t.Errorf("started again, %s says %q", name, again)
		}
	}
	roots, err := filepath.Glob(filepath.Join(state, "nix/roots/seed-*"))
	if err != nil || len(roots) != 1 {
		t.Errorf("kept: %v, %v", roots, err)
	}
}
