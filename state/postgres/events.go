package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type events struct{ q *db.Queries }

func (s events) Append(ctx context.Context, e *nixspace.Event) error {
	data := e.Data
	if data == nil {
		data = map[string]any{}
	}
	dataJSON, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode an event's data: %w", err)
	}
	if err := s.q.LockEvents(ctx); err != nil {
		return mapError(err, "lock the events")
	}
	e.Seq, err = s.q.InsertEvent(ctx, db.InsertEventParams{
		At: e.At, Kind: e.Kind, ProjectID: nullID(e.ProjectID), EnvironmentID: nullID(e.EnvironmentID),
		SessionID: nullID(e.SessionID), BuildID: nullID(e.BuildID), Actor: e.Actor, Message: e.Message, Data: dataJSON,
	})
	return mapError(err, "append an event")
}

func (s events) After(ctx context.Context, seq int64, limit int) ([]nixspace.Event, error) {
	rows, err := s.q.EventsAfter(ctx, db.EventsAfterParams{AfterSeq: seq, MaxRows: int32(limit)})
	if err != nil {
		return nil, mapError(err, "read events")
	}
	es := make([]nixspace.Event, len(rows))
	for i, row := range rows {
		es[i] = nixspace.Event{
			Seq: row.Seq, At: row.At.UTC(), Kind: row.Kind, ProjectID: idOf(row.ProjectID),
			EnvironmentID: idOf(row.EnvironmentID), SessionID: idOf(row.SessionID), BuildID: idOf(row.BuildID),
			Actor: row.Actor, Message: row.Message,
		}
		if err := json.Unmarshal(row.Data, &es[i].Data); err != nil {
			return nil, fmt.Errorf("decode event %d: %w", row.Seq, err)
		}
	}
	return es, nil
}

func (s events) Last(ctx context.Context) (int64, error) {
	seq, err := s.q.LastEvent(ctx)
	return seq, mapError(err, "read events")
}
