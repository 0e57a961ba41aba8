package postgres

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type builds struct{ q *db.Queries }

func (s builds) Create(ctx context.Context, b *nixspace.Build) error {
	err := s.q.InsertBuild(ctx, db.InsertBuildParams{
		ID: b.ID, VersionID: b.VersionID, Status: string(b.Status), Error: b.Error, ErrorCode: b.ErrorCode,
		CreatedAt: b.CreatedAt, StartedAt: nullTime(b.StartedAt), FinishedAt: nullTime(b.FinishedAt),
	})
	if violates(err, "builds_open_key") {
		return nixspace.Errorf(nixspace.KindExists, "build_open", "a build of this version is under way")
	}
	return mapError(err, "create a build")
}

func (s builds) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	if !id.Valid() {
		return nil, notFound("build", id)
	}
	row, err := s.q.BuildByID(ctx, id)
	if err != nil {
		return nil, oneError(err, "build", id)
	}
	b := build(row)
	return &b, nil
}

func (s builds) Lock(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	if !id.Valid() {
		return nil, notFound("build", id)
	}
	row, err := s.q.LockBuild(ctx, id)
	if err != nil {
		return nil, oneError(err, "build", id)
	}
	b := build(row)
	return &b, nil
}

func (s builds) List(ctx context.Context, version nixspace.ID) ([]nixspace.Build, error) {
	var rows []db.Build
	var err error
	if version == "" {
		rows, err = s.q.OpenBuilds(ctx)
	} else {
		rows, err = s.q.BuildsOfVersion(ctx, version)
	}
	if err != nil {
		return nil, mapError(err, "list builds")
	}
	bs := make([]nixspace.Build, len(rows))
	for i, row := range rows {
		bs[i] = build(row)
	}
	return bs, nil
}

func (s builds) Transition(ctx context.Context, b *nixspace.Build, from ...nixspace.BuildStatus) (bool, error) {
	n, err := s.q.StepBuild(ctx, db.StepBuildParams{
		Status: string(b.Status), Error: b.Error, ErrorCode: b.ErrorCode,
		StartedAt: nullTime(b.StartedAt), FinishedAt: nullTime(b.FinishedAt),
		ID: b.ID, FromStatus: texts(from),
	})
	return n == 1, mapError(err, "change a build")
}

func (s builds) AppendLog(ctx context.Context, lines []nixspace.BuildLogLine) error {
	rows := make([]db.AppendBuildLogParams, len(lines))
	for i, l := range lines {
		rows[i] = db.AppendBuildLogParams{BuildID: l.BuildID, Seq: l.Seq, At: l.At, Text: l.Text}
	}
	_, err := s.q.AppendBuildLog(ctx, rows)
	return mapError(err, "append to a build's log")
}

func (s builds) Log(ctx context.Context, build nixspace.ID, after int64, limit int) ([]nixspace.BuildLogLine, error) {
	rows, err := s.q.BuildLog(ctx, db.BuildLogParams{BuildID: build, AfterSeq: after, MaxRows: int32(limit)})
	if err != nil {
		return nil, mapError(err, "read a build's log")
	}
	lines := make([]nixspace.BuildLogLine, len(rows))
	for i, row := range rows {
		lines[i] = nixspace.BuildLogLine{BuildID: row.BuildID, Seq: row.Seq, At: row.At.UTC(), Text: row.Text}
	}
	return lines, nil
}

func build(row db.Build) nixspace.Build {
	return nixspace.Build{
		ID: row.ID, VersionID: row.VersionID, Status: nixspace.BuildStatus(row.Status),
		Error: row.Error, ErrorCode: row.ErrorCode, CreatedAt: row.CreatedAt.UTC(),
		StartedAt: timeOf(row.StartedAt), FinishedAt: timeOf(row.FinishedAt),
	}
}

func texts[T ~string](vs []T) []string {
	ts := make([]string, len(vs))
	for i, v := range vs {
		ts[i] = string(v)
	}
	return ts
}
