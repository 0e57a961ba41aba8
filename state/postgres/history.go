package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type history struct{ q *db.Queries }

func (s history) Nodes(ctx context.Context, hashes []string, limit int) ([]nixspace.VersionNode, error) {
	rows, err := s.q.VersionNodes(ctx, db.VersionNodesParams{Hashes: hashes, MaxRows: int32(max(limit, len(hashes)))})
	if err != nil {
		return nil, mapError(err, "read the graph of versions")
	}
	nodes := make([]nixspace.VersionNode, len(rows))
	for i, row := range rows {
		nodes[i] = nixspace.VersionNode{Hash: row.VersionHash, Parents: row.Parents, Seq: row.Seq, Time: row.CreatedAt.UTC()}
	}
	return nodes, nil
}

func (s history) Commits(ctx context.Context, hashes []string) ([]nixspace.Commit, error) {
	rows, err := s.q.Commits(ctx, hashes)
	if err != nil {
		return nil, mapError(err, "read versions")
	}
	commits := make([]nixspace.Commit, len(rows))
	for i, row := range rows {
		commits[i] = nixspace.Commit{
			VersionNode: nixspace.VersionNode{Hash: row.VersionHash, Parents: row.Parents, Seq: row.Seq, Time: row.CreatedAt.UTC()},
			ID:          row.ID, EnvironmentID: row.EnvironmentID, Message: row.Message, Author: row.Author,
		}
		if err := json.Unmarshal(row.Changes, &commits[i].Changes); err != nil {
			return nil, fmt.Errorf("decode the changes of version %s: %w", row.ID, err)
		}
	}
	return commits, nil
}

func (s history) FirstParent(ctx context.Context, version nixspace.ID, n int) (nixspace.ID, error) {
	id, err := s.q.FirstParent(ctx, db.FirstParentParams{Version: version, Steps: int32(n)})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nixspace.Errorf(nixspace.KindNotFound, "version_too_far", "there are no %d versions before it", n)
	}
	return id, mapError(err, "walk to a parent")
}

func (s history) Moves(ctx context.Context, environment nixspace.ID, before int64, skip, limit int) ([]nixspace.HeadMove, error) {
	rows, err := s.q.HeadMoves(ctx, db.HeadMovesParams{
		Environment: environment, BeforeSeq: before, Skip: int32(skip), MaxRows: int32(limit),
	})
	if err != nil {
		return nil, mapError(err, "read a reflog")
	}
	moves := make([]nixspace.HeadMove, len(rows))
	for i, row := range rows {
		moves[i] = headMove(row)
	}
	return moves, nil
}

func (s history) MoveAt(ctx context.Context, environment nixspace.ID, at time.Time) (*nixspace.HeadMove, error) {
	row, err := s.q.HeadMoveAt(ctx, db.HeadMoveAtParams{Environment: environment, At: at})
	if err != nil {
		return nil, oneError(err, "head", "at "+at.UTC().Format(time.RFC3339))
	}
	m := headMove(row)
	return &m, nil
}

func (s history) HeadsAt(ctx context.Context, versions ...nixspace.ID) ([]nixspace.Environment, error) {
	rows, err := s.q.EnvironmentsAt(ctx, validIDs(versions))
	if err != nil {
		return nil, mapError(err, "find environments")
	}
	es := make([]nixspace.Environment, len(rows))
	for i, row := range rows {
		es[i] = *environment(row.Environment, row.Slug)
	}
	return es, nil
}

func headMove(row db.HeadMove) nixspace.HeadMove {
	return nixspace.HeadMove{
		Seq: row.Seq, EnvironmentID: row.EnvironmentID, From: idOf(row.FromVersionID), To: row.ToVersionID,
		Action: nixspace.MoveAction(row.Action), Message: row.Message, Actor: row.Actor, At: row.At.UTC(),
	}
}
