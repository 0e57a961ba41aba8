package postgres

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type merges struct{ q *db.Queries }

func (s merges) Create(ctx context.Context, m *nixspace.Merge) error {
	return mapError(s.q.InsertMerge(ctx, db.InsertMergeParams{
		ID: m.ID, EnvironmentID: m.EnvironmentID, VersionID: m.VersionID, FromVersionID: m.FromHead, TheirsVersionID: m.TheirsID,
		FastForward: m.FastForward, Status: string(m.Status), Error: m.Error, ErrorCode: m.ErrorCode, Message: m.Message,
		Actor: m.Actor, CreatedAt: m.CreatedAt, FinishedAt: nullTime(m.FinishedAt),
	}), "record a merge")
}

func (s merges) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Merge, error) {
	if !id.Valid() {
		return nil, notFound("merge", id)
	}
	row, err := s.q.MergeByID(ctx, id)
	if err != nil {
		return nil, oneError(err, "merge", id)
	}
	m := merge(row)
	return &m, nil
}

func (s merges) Building(ctx context.Context, version nixspace.ID) ([]nixspace.Merge, error) {
	rows, err := s.q.BuildingMerges(ctx, nullID(version))
	if err != nil {
		return nil, mapError(err, "list merges")
	}
	list := make([]nixspace.Merge, len(rows))
	for i, row := range rows {
		list[i] = merge(row)
	}
	return list, nil
}

func (s merges) End(ctx context.Context, m *nixspace.Merge) (bool, error) {
	n, err := s.q.EndMerge(ctx, db.EndMergeParams{
		Status: string(m.Status), Error: m.Error, ErrorCode: m.ErrorCode, FinishedAt: nullTime(m.FinishedAt), ID: m.ID,
	})
	return n > 0, mapError(err, "end a merge")
}

func merge(row db.Merge) nixspace.Merge {
	return nixspace.Merge{
		ID: row.ID, EnvironmentID: row.EnvironmentID, VersionID: row.VersionID, FromHead: row.FromVersionID, TheirsID: row.TheirsVersionID,
		FastForward: row.FastForward, Status: nixspace.MergeStatus(row.Status), Error: row.Error, ErrorCode: row.ErrorCode,
		Message: row.Message, Actor: row.Actor, CreatedAt: row.CreatedAt.UTC(), FinishedAt: timeOf(row.FinishedAt),
	}
}
