package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/nixspace/nixspace"
)

var _ nixspace.ReachableStore = (*DB)(nil)

// reachable are the columns that name what lies outside of the database. Whoever
// adds another one adds it here, or garbage collection takes what it names.
var reachable = struct{ workspaces, derivations string }{
	workspaces: "select workspace::text from projects where workspace is not null " +
		"union select workspace::text from environment_code union select workspace from prebuilds where workspace <> ''",
	derivations: "select drv_path from environment_versions",
}

// Reachable implements nixspace.ReachableStore.
func (d *DB) Reachable(ctx context.Context) (*nixspace.Reachable, error) {
	out := &nixspace.Reachable{}
	for sql, set := range map[string]*map[string]bool{reachable.workspaces: &out.Workspaces, reachable.derivations: &out.Derivations} {
		rows, err := d.pool.Query(ctx, sql)
		if err != nil {
			return nil, mapError(err, "find what is needed")
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, mapError(err, "find what is needed")
		}
		*set = make(map[string]bool, len(names))
		for _, n := range names {
			(*set)[n] = true
		}
	}
	return out, nil
}
