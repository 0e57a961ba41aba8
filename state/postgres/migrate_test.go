package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
)

// TestUpgradeCarriesData migrates step by step. After each step the fixture of
// that step is inserted, and everything inserted before must still be there.
func TestUpgradeCarriesData(t *testing.T) {
	ctx := testContext(t)
	pool := postgrestest.Pool(t)
	conn := stdlib.OpenDBFromPool(pool)
	defer conn.Close()
	p, err := migrator(conn)
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for _, source := range p.ListSources() {
		if _, err := p.ApplyVersion(ctx, source.Version, true); err != nil {
			t.Fatalf("migrate to %d: %v", source.Version, err)
		}
		after := contents(t, conn)
		for table, rows := range before {
			// These get columns in later steps.
			grows := table == "environments" || table == "sessions"
			if diff := cmp.Diff(rows, after[table]); diff != "" && !grows {
				t.Errorf("version %d changed %s (-before +after):\n%s", source.Version, table, diff)
			}
			if after[table] == "" {
				t.Errorf("version %d lost %s", source.Version, table)
			}
		}
		fixture, err := os.ReadFile(filepath.Join("testdata", "fixtures", fmt.Sprintf("%05d.sql", source.Version)))
		if err != nil {
			t.Fatalf("every migration needs a fixture: %v", err)
		}
		if _, err := conn.ExecContext(ctx, string(fixture)); err != nil {
			t.Fatalf("insert fixture %d: %v", source.Version, err)
		}
		before = contents(t, conn)
	}
	// What the stores read from it is what was put in.
	d := openTestPool(pool)
	envs, err := d.Read().Environments().Named(ctx, "", "pg13")
	if err != nil || len(envs) != 1 || envs[0].Ref() != "shop/pg13" {
		t.Fatalf("got %v, %v", envs, err)
	}
	// It had no reflog before there was one: the migration made it.
	moves, err := d.Read().History().Moves(ctx, envs[0].ID, 0, 0, 10)
	if err != nil || len(moves) != 2 || moves[1].Action != nixspace.MoveBranch || moves[1].To != envs[0].Head || !moves[1].At.Equal(envs[0].CreatedAt) {
		t.Errorf("reflog: got %v, %v", moves, err)
	}
	vs, err := d.Read().Versions().History(ctx, envs[0].Head, 0, 10)
	if err != nil || len(vs) != 1 || len(vs[0].Changes) != 1 || vs[0].Changes[0].To != "22" {
		t.Fatalf("got %v, %v", vs, err)
	}
}

func openTestPool(pool *pgxpool.Pool) *DB { return &DB{pool: pool} }

// contents returns every table's rows as text.
func contents(t *testing.T, conn *sql.DB) map[string]string {
	t.Helper()
	rows, err := conn.Query(`SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	tables := map[string]string{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables[name] = ""
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for name := range tables {
		var text sql.NullString
		q := fmt.Sprintf(`SELECT string_agg(r::text, E'\n' ORDER BY r::text) FROM %q AS r`, name)
		if err := conn.QueryRow(q).Scan(&text); err != nil {
			t.Fatal(err)
		}
		tables[name] = text.String
	}
	return tables
}

func TestMigrateAgainAndAtOnce(t *testing.T) {
	ctx := testContext(t)
	pool := postgrestest.Pool(t)
	errs := make(chan error, 3)
	for range cap(errs) {
		go func() { errs <- Migrate(ctx, pool) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := Migrate(ctx, pool); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestMigrateRefusesNewerSchema(t *testing.T) {
	ctx := testContext(t)
	pool := postgrestest.Pool(t)
	if err := Migrate(ctx, pool); err != nil {
		t.Fatal(err)
	}
	mustExec(t, ctx, pool, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)
	wantKind(t, Migrate(ctx, pool), "conflict", "database_newer")
}

func mustExec(t *testing.T, ctx context.Context, pool *pgxpool.Pool, query string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(ctx, query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}
