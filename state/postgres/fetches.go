package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type fetches struct{ q *db.Queries }

func (s fetches) Create(ctx context.Context, f *nixspace.SourceFetch) error {
	source, err := json.Marshal(f.Source)
	if err != nil {
		return fmt.Errorf("encode a source: %w", err)
	}
	return mapError(s.q.InsertFetch(ctx, db.InsertFetchParams{
		ID: f.ID, Source: source, Private: f.Private, Status: string(f.Status), CreatedAt: f.CreatedAt, CreatedBy: f.CreatedBy,
	}), "create a fetch")
}

func (s fetches) ByID(ctx context.Context, id nixspace.ID) (*nixspace.SourceFetch, error) {
	if !id.Valid() {
		return nil, notFound("fetch", id)
	}
	row, err := s.q.FetchByID(ctx, id)
	if err != nil {
		return nil, oneError(err, "fetch", id)
	}
	return fetch(row)
}

func (s fetches) Open(ctx context.Context) ([]nixspace.SourceFetch, error) {
	rows, err := s.q.OpenFetches(ctx)
	if err != nil {
		return nil, mapError(err, "list fetches")
	}
	out := make([]nixspace.SourceFetch, len(rows))
	for i, row := range rows {
		f, err := fetch(row)
		if err != nil {
			return nil, err
		}
		out[i] = *f
	}
	return out, nil
}

func (s fetches) Transition(ctx context.Context, f *nixspace.SourceFetch, from ...nixspace.BuildStatus) (bool, error) {
	var code []byte
	if f.Code != nil {
		var err error
		if code, err = json.Marshal(f.Code); err != nil {
			return false, fmt.Errorf("encode what was fetched: %w", err)
		}
	}
	n, err := s.q.StepFetch(ctx, db.StepFetchParams{
		Status: string(f.Status), Error: f.Error, ErrorCode: f.ErrorCode, Code: code,
		StartedAt: nullTime(f.StartedAt), FinishedAt: nullTime(f.FinishedAt), ID: f.ID, FromStatus: texts(from),
	})
	return n == 1, mapError(err, "change a fetch")
}

func fetch(row db.SourceFetch) (*nixspace.SourceFetch, error) {
	f := &nixspace.SourceFetch{
		ID: row.ID, Private: row.Private, Status: nixspace.BuildStatus(row.Status), Error: row.Error, ErrorCode: row.ErrorCode,
		CreatedAt: row.CreatedAt.UTC(), CreatedBy: row.CreatedBy, StartedAt: timeOf(row.StartedAt), FinishedAt: timeOf(row.FinishedAt),
	}
	if err := json.Unmarshal(row.Source, &f.Source); err != nil {
		return nil, fmt.Errorf("read a stored source: %w", err)
	}
	if row.Code != nil {
		f.Code = &nixspace.FetchedCode{}
		if err := json.Unmarshal(row.Code, f.Code); err != nil {
			return nil, fmt.Errorf("read what was fetched: %w", err)
		}
	}
	return f, nil
}
