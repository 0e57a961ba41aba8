package postgres

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/nixspace/nixspace"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Migrate brings the database's schema to this program's version. Several
// servers may call it at once: an advisory lock lets one work at a time. It
// refuses, with code "database_newer", a schema of a later program.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	conn := stdlib.OpenDBFromPool(pool)
	defer func() { _ = conn.Close() }() // gives connections back to the pool; it has nothing to say
	p, err := migrator(conn)
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return mapError(err, "read the schema's version")
	}
	if current > target {
		return nixspace.Errorf(nixspace.KindConflict, "database_newer",
			"the database has schema version %d, and this program knows versions up to %d", current, target).
			WithHint("use the newer nixspace that made it, or another state directory")
	}
	if _, err := p.Up(ctx); err != nil {
		return mapError(err, "migrate the database")
	}
	return nil
}

func migrator(conn *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, fmt.Errorf("open the embedded migrations: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, fmt.Errorf("make the migration lock: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, conn, files,
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true),
		// Numbers have gaps that are filled while a version is made.
		goose.WithAllowOutofOrder(true))
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	return p, nil
}
