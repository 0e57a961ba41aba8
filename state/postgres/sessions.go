package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type sessions struct{ q *db.Queries }

func (s sessions) Create(ctx context.Context, n *nixspace.Session) error {
	number, err := s.q.NextSessionNumber(ctx, n.EnvironmentID)
	if errors.Is(err, pgx.ErrNoRows) {
		return notFound("environment", n.EnvironmentID)
	}
	if err != nil {
		return mapError(err, "number a session")
	}
	err = s.q.InsertSession(ctx, db.InsertSessionParams{
		ID: n.ID, EnvironmentVersionID: n.EnvironmentVersionID, VmID: n.VMID, Status: string(n.Status),
		StartedAt: n.StartedAt, LastActivity: n.LastActivity, EnvironmentID: n.EnvironmentID, Number: number,
		Generation: n.Generation, Reason: n.Reason, ReasonCode: n.ReasonCode, Driver: n.Driver, Isolation: n.Isolation,
		Ephemeral: n.Ephemeral, StatusSince: n.Since, EndedAt: nullTime(n.EndedAt), CreatedBy: n.CreatedBy,
		Throwaway: n.Throwaway, DiskOnly: n.DiskOnly, SnapshotID: nullID(n.SnapshotID), ForkOf: nullID(n.ForkOf),
		NeedsSnapshot: nullID(n.NeedsSnapshot),
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.ConstraintName == "sessions_needs_snapshot_fkey" {
		return notFound("snapshot", n.NeedsSnapshot)
	}
	if err != nil {
		return mapError(err, "create a session")
	}
	stored, err := s.ByID(ctx, n.ID)
	if err != nil {
		return err
	}
	*n = *stored
	return nil
}

func (s sessions) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Session, error) {
	if !id.Valid() {
		return nil, notFound("session", id)
	}
	row, err := s.q.SessionByID(ctx, id)
	if err != nil {
		return nil, oneError(err, "session", id)
	}
	n := session(row.Session, row.Slug, row.Name)
	return &n, nil
}

func (s sessions) List(ctx context.Context, f nixspace.SessionFilter) ([]nixspace.Session, error) {
	p := db.SessionsParams{Environment: nullID(f.Environment), Number: int32(f.Number), Statuses: texts(f.Statuses)}
	if f.Limit > 0 {
		limit := int64(f.Limit)
		p.MaxRows = &limit
	}
	rows, err := s.q.Sessions(ctx, p)
	if err != nil {
		return nil, mapError(err, "list sessions")
	}
	ns := make([]nixspace.Session, len(rows))
	for i, row := range rows {
		ns[i] = session(row.Session, row.Slug, row.Name)
	}
	return ns, nil
}

func (s sessions) Transition(ctx context.Context, c nixspace.SessionChange) (*nixspace.Session, error) {
	p := db.StepSessionParams{
		Status: string(c.To), At: c.At, Restart: c.Restart, Resume: c.Resume, Reason: c.Reason, ReasonCode: c.ReasonCode,
		VmID: c.VMID, Driver: c.Driver, Isolation: c.Isolation,
		ID: c.ID, Generation: c.Generation, FromStatus: texts(c.From),
	}
	if c.To == nixspace.SessionStopped || c.To == nixspace.SessionFailed {
		p.EndedAt = &c.At
	}
	n, err := s.q.StepSession(ctx, p)
	if err != nil {
		return nil, mapError(err, "change a session")
	}
	stored, err := s.ByID(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_moved",
			"session %s is %s now", stored.Ref(), stored.Status).WithHint("look at it again, then try again")
	}
	return stored, nil
}

func (s sessions) Touch(ctx context.Context, id nixspace.ID, at time.Time) error {
	return mapError(s.q.TouchSession(ctx, db.TouchSessionParams{ID: id, At: at}), "touch a session")
}

func (s sessions) Delete(ctx context.Context, id nixspace.ID) error {
	n, err := s.q.DeleteSession(ctx, id)
	if err != nil {
		return mapError(err, "delete a session")
	}
	if n == 0 {
		return nixspace.Errorf(nixspace.KindConflict, "session_moved", "the session is not stopped")
	}
	return nil
}

func session(row db.Session, slug, name string) nixspace.Session {
	return nixspace.Session{
		ID: row.ID, Number: int(row.Number), EnvironmentID: row.EnvironmentID,
		EnvironmentVersionID: row.EnvironmentVersionID, Environment: slug + "/" + name, VMID: row.VmID,
		Status: nixspace.SessionStatus(row.Status), Reason: row.Reason, ReasonCode: row.ReasonCode,
		Generation: row.Generation, Driver: row.Driver, Isolation: row.Isolation, Ephemeral: row.Ephemeral,
		StartedAt: row.StartedAt.UTC(), Since: row.StatusSince.UTC(), LastActivity: row.LastActivity.UTC(),
		EndedAt: timeOf(row.EndedAt), CreatedBy: row.CreatedBy, Throwaway: row.Throwaway, Resuming: row.Resuming,
		SnapshotID: idOf(row.SnapshotID), ForkOf: idOf(row.ForkOf), NeedsSnapshot: idOf(row.NeedsSnapshot), DiskOnly: row.DiskOnly,
	}
}
