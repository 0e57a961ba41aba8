// Package postgres keeps everything that NixSpace remembers in PostgreSQL.
//
// The SQL is in migrations (goose, forward only) and queries (sqlc, generated
// into package db). [DB] implements nixspace.Database over it.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

// DB is a migrated database. It is safe for concurrent use.
type DB struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	hub  *noticeHub
}

var _ nixspace.Database = (*DB)(nil)

// defaultMaxConns is the size of the pool unless the connection string names
// one (pool_max_conns): watchers and requests share it with the job runner.
const defaultMaxConns = 16

// Open connects to a database; prepare it with [Migrate] over its Pool. It fails
// with code "database_unavailable" when it cannot be reached. Close it after use.
func Open(ctx context.Context, url string, log *slog.Logger) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "database_url_invalid", "the database URL cannot be read: %w", err)
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = defaultMaxConns
	}
	return OpenConfig(ctx, cfg, log)
}

// OpenConfig is [Open] for those who set more than a connection string can.
func OpenConfig(ctx context.Context, cfg *pgxpool.Config, log *slog.Logger) (*DB, error) {
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database pool: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, unavailable(err)
	}
	return &DB{pool: pool, log: log, hub: newNoticeHub(cfg.ConnConfig.Copy(), log)}, nil
}

// Close ends all connections and subscriptions.
func (d *DB) Close() {
	d.hub.close()
	d.pool.Close()
}

// Pool returns the connection pool, for the job queue, which keeps its tables in
// the same database.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }

// Ping checks that the database answers.
func (d *DB) Ping(ctx context.Context) error {
	if err := d.pool.Ping(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

// Read implements nixspace.Database.
func (d *DB) Read() nixspace.Tx { return &tx{q: db.New(d.pool)} }

// maxAttempts bounds how often a transaction that failed to serialise, or that
// PostgreSQL chose as a deadlock's victim, is run.
const maxAttempts = 4

// InTx implements nixspace.Database.
func (d *DB) InTx(ctx context.Context, fn func(nixspace.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := pgx.BeginFunc(ctx, d.pool, func(p pgx.Tx) error {
			return fn(&tx{q: db.New(p), pgx: p})
		})
		if attempt < maxAttempts && retryable(err) {
			continue
		}
		var known *nixspace.Error
		if err == nil || errors.As(err, &known) {
			return err
		}
		return mapError(err, "run a transaction")
	}
}

// Subscribe implements nixspace.Database.
func (d *DB) Subscribe(ctx context.Context) (<-chan nixspace.Notice, error) {
	return d.hub.subscribe(ctx)
}

// tx gives access to the records through a pool or a transaction.
type tx struct {
	q   *db.Queries
	pgx pgx.Tx // nil outside of a transaction
}

func (t *tx) Projects() nixspace.ProjectStore             { return projects{t.q} }
func (t *tx) Environments() nixspace.EnvironmentStore     { return environments{t.q} }
func (t *tx) Versions() nixspace.VersionStore             { return versions{t.q} }
func (t *tx) History() nixspace.HistoryStore              { return history{t.q} }
func (t *tx) Tags() nixspace.TagStore                     { return tags{t.q} }
func (t *tx) Merges() nixspace.MergeStore                 { return merges{t.q} }
func (t *tx) Builds() nixspace.BuildStore                 { return builds{t.q} }
func (t *tx) Sessions() nixspace.SessionStore             { return sessions{t.q} }
func (t *tx) Snapshots() nixspace.SnapshotStore           { return snapshots{t.q} }
func (t *tx) Fetches() nixspace.FetchStore                { return fetches{t.q} }
func (t *tx) Templates() nixspace.TemplateStore           { return templates{t.q} }
func (t *tx) Code() nixspace.CodeStore                    { return codes{t.q} }
func (t *tx) Prebuilds() nixspace.PrebuildStore           { return prebuilds{t.q} }
func (t *tx) Git() nixspace.GitStore                      { return gitSettings{t.q} }
func (t *tx) Events() nixspace.EventStore                 { return events{t.q} }
func (t *tx) Experiments() nixspace.ExperimentStore       { return experiments{t.q} }
func (t *tx) ExperimentRuns() nixspace.ExperimentRunStore { return experimentRuns{t.q} }
func (t *tx) People() nixspace.PeopleStore                { return people{t.q} }

// PgxTx returns the transaction below, for the job queue, which inserts its jobs
// in the transaction that asks for them; nil outside of one. It is not part of
// nixspace.Tx: reach it by a type assertion.
func (t *tx) PgxTx() pgx.Tx { return t.pgx }
