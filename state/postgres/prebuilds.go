package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type codes struct{ q *db.Queries }

func (s codes) Of(ctx context.Context, environment nixspace.ID) (*nixspace.EnvironmentCode, error) {
	row, err := s.q.CodeOf(ctx, environment)
	if err != nil {
		return nil, oneError(err, "environment", environment)
	}
	c := &nixspace.EnvironmentCode{Workspace: row.Workspace, Source: row.Source}
	c.Fetch, err = s.FetchOf(ctx, c.Workspace)
	return c, err
}

func (s codes) FetchOf(ctx context.Context, workspace string) (*nixspace.SourceFetch, error) {
	if workspace == "" {
		return nil, nil
	}
	row, err := s.q.FetchOfCode(ctx, workspace)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, mapError(err, "find where code is from")
	}
	return fetch(row)
}

func (s codes) Put(ctx context.Context, environment nixspace.ID, workspace, source string, at time.Time) error {
	return mapError(s.q.PutCode(ctx, db.PutCodeParams{EnvironmentID: environment, Workspace: workspace, Source: source, ChangedAt: at}), "change an environment's code")
}

func (s codes) Inherit(ctx context.Context, heir, origin nixspace.ID) error {
	return mapError(s.q.InheritCode(ctx, db.InheritCodeParams{Heir: heir, Origin: origin}), "give an environment its code")
}

type prebuilds struct{ q *db.Queries }

func (s prebuilds) Create(ctx context.Context, p *nixspace.Prebuild) error {
	n, err := s.q.InsertPrebuild(ctx, db.InsertPrebuildParams{
		ID: p.ID, Key: p.Key, ProjectID: p.ProjectID, EnvironmentID: p.EnvironmentID, VersionID: p.VersionID,
		Workspace: p.Workspace, ManifestHash: p.ManifestHash, Status: string(p.Status), CreatedAt: p.CreatedAt, CreatedBy: p.CreatedBy,
	})
	if err == nil && n == 0 {
		return nixspace.Errorf(nixspace.KindExists, "prebuild_open", "this prebuild is under way")
	}
	if err != nil {
		return mapError(err, "create a prebuild")
	}
	stored, err := s.ByID(ctx, p.ID)
	if err != nil {
		return err
	}
	*p = *stored
	return nil
}

func (s prebuilds) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Prebuild, error) {
	if !id.Valid() {
		return nil, notFound("prebuild", id)
	}
	row, err := s.q.PrebuildByID(ctx, id)
	if err != nil {
		return nil, oneError(err, "prebuild", id)
	}
	return prebuild(row.Prebuild, row.Slug, row.Name), nil
}

func (s prebuilds) Of(ctx context.Context, snapshot nixspace.ID) (*nixspace.Prebuild, error) {
	if !snapshot.Valid() {
		return nil, notFound("prebuild of snapshot", snapshot)
	}
	row, err := s.q.PrebuildBySnapshot(ctx, snapshot)
	if err != nil {
		return nil, oneError(err, "prebuild of snapshot", snapshot)
	}
	return prebuild(row.Prebuild, row.Slug, row.Name), nil
}

func (s prebuilds) Best(ctx context.Context, p *nixspace.Prebuild) (*nixspace.Prebuild, error) {
	row, err := s.q.BestPrebuild(ctx, db.BestPrebuildParams{ProjectID: p.ProjectID, Key: p.Key, ManifestHash: p.ManifestHash, EnvironmentID: p.EnvironmentID})
	if err != nil {
		return nil, oneError(err, "prebuild of project", p.ProjectID)
	}
	return prebuild(row.Prebuild, row.Slug, row.Name), nil
}

func (s prebuilds) List(ctx context.Context, f nixspace.PrebuildFilter) ([]nixspace.Prebuild, error) {
	rows, err := s.q.Prebuilds(ctx, db.PrebuildsParams{Environment: nullID(f.Environment), Key: f.Key, Open: f.Open})
	if err != nil {
		return nil, mapError(err, "list prebuilds")
	}
	out := make([]nixspace.Prebuild, len(rows))
	for i, row := range rows {
		out[i] = *prebuild(row.Prebuild, row.Slug, row.Name)
	}
	return out, nil
}

func (s prebuilds) Transition(ctx context.Context, p *nixspace.Prebuild, from ...nixspace.BuildStatus) (bool, error) {
	n, err := s.q.StepPrebuild(ctx, db.StepPrebuildParams{
		Status: string(p.Status), Error: p.Error, ErrorCode: p.ErrorCode, SnapshotID: nullID(p.Snapshot),
		StartedAt: nullTime(p.StartedAt), FinishedAt: nullTime(p.FinishedAt), ID: p.ID, FromStatus: texts(from),
	})
	return n == 1, mapError(err, "change a prebuild")
}

func (s prebuilds) Use(ctx context.Context, id, session nixspace.ID, earlier bool, at time.Time) error {
	err := s.q.InsertSessionPrebuild(ctx, db.InsertSessionPrebuildParams{SessionID: session, PrebuildID: id, Earlier: earlier})
	if err == nil {
		err = s.q.UsePrebuild(ctx, db.UsePrebuildParams{ID: id, UsedAt: at})
	}
	return mapError(err, "note the use of a prebuild")
}

func (s prebuilds) BeganFrom(ctx context.Context, session nixspace.ID) (*nixspace.Prebuild, bool, error) {
	row, err := s.q.PrebuildOfSession(ctx, session)
	if err != nil {
		return nil, false, oneError(err, "prebuild of session", session)
	}
	return prebuild(row.Prebuild, row.Slug, row.Name), row.Earlier, nil
}

func (s prebuilds) Delete(ctx context.Context, id nixspace.ID) error {
	n, err := s.q.DeletePrebuild(ctx, id)
	if err == nil && n == 0 {
		return nixspace.Errorf(nixspace.KindConflict, "prebuild_busy", "prebuild %s is under way, or gone", id)
	}
	return mapError(err, "delete a prebuild")
}

func (s prebuilds) AppendLog(ctx context.Context, lines []nixspace.BuildLogLine) error {
	rows := make([]db.AppendPrebuildLogParams, len(lines))
	for i, l := range lines {
		rows[i] = db.AppendPrebuildLogParams{PrebuildID: l.BuildID, Seq: l.Seq, At: l.At, Text: l.Text}
	}
	_, err := s.q.AppendPrebuildLog(ctx, rows)
	return mapError(err, "append to a prebuild's log")
}

func (s prebuilds) Log(ctx context.Context, id nixspace.ID, after int64, limit int) ([]nixspace.BuildLogLine, error) {
	rows, err := s.q.PrebuildLog(ctx, db.PrebuildLogParams{PrebuildID: id, AfterSeq: after, MaxRows: int32(limit)})
	if err != nil {
		return nil, mapError(err, "read a prebuild's log")
	}
	lines := make([]nixspace.BuildLogLine, len(rows))
	for i, row := range rows {
		lines[i] = nixspace.BuildLogLine{BuildID: row.PrebuildID, Seq: row.Seq, At: row.At.UTC(), Text: row.Text}
	}
	return lines, nil
}

func prebuild(row db.Prebuild, slug, name string) *nixspace.Prebuild {
	return &nixspace.Prebuild{
		ID: row.ID, Key: row.Key, ProjectID: row.ProjectID, EnvironmentID: row.EnvironmentID, VersionID: row.VersionID,
		Environment: slug + "/" + name, Workspace: row.Workspace, ManifestHash: row.ManifestHash,
		Status: nixspace.BuildStatus(row.Status), Error: row.Error, ErrorCode: row.ErrorCode, Snapshot: idOf(row.SnapshotID),
		CreatedAt: row.CreatedAt.UTC(), CreatedBy: row.CreatedBy, StartedAt: timeOf(row.StartedAt), FinishedAt: timeOf(row.FinishedAt),
		UsedAt: row.UsedAt.UTC(),
	}
}
