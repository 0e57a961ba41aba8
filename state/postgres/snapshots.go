package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type snapshots struct{ q *db.Queries }

func (s snapshots) Create(ctx context.Context, n *nixspace.Snapshot) error {
	if n.Name == "" && !n.Implicit {
		number, err := s.q.NextSnapshotNumber(ctx, n.EnvironmentID)
		if errors.Is(err, pgx.ErrNoRows) {
			return notFound("environment", n.EnvironmentID)
		}
		if err != nil {
			return mapError(err, "number a snapshot")
		}
		n.Name = fmt.Sprintf("s%d", number)
	}
	err := s.q.InsertSnapshot(ctx, db.InsertSnapshotParams{
		ID: n.ID, EnvironmentID: n.EnvironmentID, VersionID: n.VersionID, SessionID: n.SessionID,
		SessionNumber: int32(n.SessionNumber), ParentID: nullID(n.ParentID), Name: n.Name, State: string(n.State),
		Implicit: n.Implicit, CreatedAt: n.CreatedAt, CreatedBy: n.CreatedBy,
	})
	if violates(err, "snapshots_name_key") {
		return nixspace.Errorf(nixspace.KindExists, "snapshot_exists", "there is a snapshot %s@%s already", n.Environment, n.Name).
			WithHint("choose another name, or remove that one with `nixspace snapshots rm %s@%s`", n.Environment, n.Name)
	}
	if err != nil {
		return mapError(err, "create a snapshot")
	}
	stored, err := s.ByID(ctx, n.ID)
	if err != nil {
		return err
	}
	*n = *stored
	return nil
}

func (s snapshots) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Snapshot, error) {
	if !id.Valid() {
		return nil, notFound("snapshot", id)
	}
	row, err := s.q.SnapshotByID(ctx, id)
	if err != nil {
		return nil, oneError(err, "snapshot", id)
	}
	n := snapshot(row.Snapshot, row.Slug, row.Name)
	return &n, nil
}

func (s snapshots) List(ctx context.Context, f nixspace.SnapshotFilter) ([]nixspace.Snapshot, error) {
	rows, err := s.q.Snapshots(ctx, db.SnapshotsParams{Environment: nullID(f.Environment), Session: nullID(f.Session), Name: f.Name})
	if err != nil {
		return nil, mapError(err, "list snapshots")
	}
	ns := make([]nixspace.Snapshot, len(rows))
	for i, row := range rows {
		ns[i] = snapshot(row.Snapshot, row.Slug, row.Name)
	}
	return ns, nil
}

func (s snapshots) Update(ctx context.Context, n *nixspace.Snapshot) error {
	changed, err := s.q.UpdateSnapshot(ctx, db.UpdateSnapshotParams{
		ID: n.ID, State: string(n.State), Memory: n.Memory, Consistency: n.Consistency, Size: n.Size, Shared: n.Shared,
		PauseNs: n.Pause.Nanoseconds(), CompatKey: n.CompatKey,
	})
	if err != nil {
		return mapError(err, "change a snapshot")
	}
	if changed == 0 {
		return notFound("snapshot", n.ID)
	}
	return nil
}

// foreignKeyViolation is PostgreSQL's code for a row that others name.
const foreignKeyViolation = "23503"

func (s snapshots) Delete(ctx context.Context, id nixspace.ID) error {
	if err := s.q.AdoptSnapshots(ctx, id); err != nil {
		return mapError(err, "give a snapshot's children to its parent")
	}
	n, err := s.q.DeleteSnapshot(ctx, id)
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == foreignKeyViolation:
		return nixspace.Errorf(nixspace.KindConflict, "snapshot_in_use", "a session or prebuild still needs snapshot %s", id).
			WithHint("stop and remove the sessions that began from it, or wait until they run")
	case err != nil:
		return mapError(err, "delete a snapshot")
	case n == 0:
		return notFound("snapshot", id)
	}
	return nil
}

func snapshot(row db.Snapshot, slug, name string) nixspace.Snapshot {
	environment := slug + "/" + name
	return nixspace.Snapshot{
		ID: row.ID, SessionID: row.SessionID, VersionID: row.VersionID, ParentID: idOf(row.ParentID), Name: row.Name,
		Environment: environment, Session: fmt.Sprintf("%s/%d", environment, row.SessionNumber), SessionNumber: int(row.SessionNumber),
		EnvironmentID: row.EnvironmentID, State: nixspace.SnapshotState(row.State), Implicit: row.Implicit, Memory: row.Memory,
		Consistency: row.Consistency, Size: row.Size, Shared: row.Shared, Pause: time.Duration(row.PauseNs), CompatKey: row.CompatKey,
		CreatedAt: row.CreatedAt.UTC(), CreatedBy: row.CreatedBy,
	}
}
