package server

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/nixspace/nixspace/internal/telemetry"
	"github.com/nixspace/nixspace/jobs"
	"github.com/nixspace/nixspace/state/postgres"
	"github.com/nixspace/nixspace/state/postgres/cluster"
)

// openDatabase starts the private PostgreSQL, unless there is another one.
func (s *server) openDatabase(ctx context.Context) (string, error) {
	if s.cfg.DatabaseURL != "" {
		s.dbURL = s.cfg.DatabaseURL
		return "as given", nil
	}
	c, err := cluster.Start(ctx, cluster.Options{
		Dir: s.dir.Path("pg"), SocketDir: filepath.Join(s.dir.Runtime(), "pg"), BinDir: s.cfg.PGBin,
		Log: s.cfg.Log.With("part", "postgresql"),
	})
	if err != nil {
		return "", err
	}
	s.onStop("database", c.Stop)
	s.dbURL = c.URL()
	go func() {
		<-c.Done() // at the latest after Stop
		if err := c.Err(); err != nil {
			s.giveUp(fmt.Errorf("the private PostgreSQL ended: %w", err))
		}
	}()
	detail := "PostgreSQL " + c.Version() + ", private"
	if c.Adopted() {
		detail += ", taken over from an earlier server"
	}
	return detail, nil
}

// migrate brings the schema up to date and opens the stores.
func (s *server) migrate(ctx context.Context) (string, error) {
	var err error
	if s.db, err = postgres.Open(ctx, s.dbURL, s.cfg.Log.With("part", "database")); err != nil {
		return "", err
	}
	s.onStop("connections", func(context.Context) error {
		s.db.Close()
		return nil
	})
	if err := postgres.Migrate(ctx, s.db.Pool()); err != nil {
		return "", err
	}
	return "", jobs.Migrate(ctx, s.db.Pool())
}

// checks are what /readyz asks. The schema is not among them: nothing is served
// before it is up to date.
func (s *server) checks() []telemetry.Check {
	checks := []telemetry.Check{{Name: "postgresql", Run: s.db.Ping}}
	if p, ok := s.packages.(interface{ Ping(context.Context) error }); ok {
		checks = append(checks, telemetry.Check{Name: "nix", Run: p.Ping})
	}
	return checks
}

// metrics are those of the process and of what the database holds.
func (s *server) metrics() *telemetry.Metrics {
	m := telemetry.NewMetrics(s.cfg.Version)
	m.AddPool(s.db.Pool())
	for _, c := range []struct{ name, help, sql string }{
		{"nixspace_sessions", "Sessions by state.", "select status, count(*) from sessions group by 1"},
		{"nixspace_builds", "Builds by state.", "select status, count(*) from builds group by 1"},
		{"nixspace_jobs", "Jobs by state; those that ended well are forgotten after a day.", "select state::text, count(*) from river_job group by 1"},
	} {
		m.AddCounts(c.name, c.help, s.count(c.sql))
	}
	m.AddCounts("nixspace_egress_connections", "Connections out of sessions since the server's start, by what became of them.", func(context.Context) ([]telemetry.Count, error) {
		n := s.running.App.EgressTotals()
		return []telemetry.Count{{State: "made", N: n.Connections}, {State: "refused", N: n.Refused}, {State: "failed", N: n.Failed}}, nil
	})
	m.AddCounts("nixspace_egress_bytes", "Bytes that sessions exchanged with the outside since the server's start.", func(context.Context) ([]telemetry.Count, error) {
		n := s.running.App.EgressTotals()
		return []telemetry.Count{{State: "sent", N: n.Sent}, {State: "received", N: n.Received}}, nil
	})
	return m
}

// count returns a counter of a query's rows (state, number).
func (s *server) count(sql string) telemetry.CountFunc {
	return func(ctx context.Context) ([]telemetry.Count, error) {
		rows, err := s.db.Pool().Query(ctx, sql)
		if err != nil {
			return nil, fmt.Errorf("count records: %w", err)
		}
		counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[telemetry.Count])
		if err != nil {
			return nil, fmt.Errorf("count records: %w", err)
		}
		return counts, nil
	}
}
