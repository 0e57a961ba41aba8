package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type versions struct{ q *db.Queries }

func (s versions) Create(ctx context.Context, v *nixspace.Version, parent nixspace.ID) error {
	changes := v.Changes
	if changes == nil {
		changes = []nixspace.Change{}
	}
	changesJSON, err := json.Marshal(changes)
	if err != nil {
		return fmt.Errorf("encode a version's changes: %w", err)
	}
	parents := v.Parents
	if parents == nil {
		parents = []string{}
	}
	err = s.q.InsertVersion(ctx, db.InsertVersionParams{
		ID: v.ID, EnvironmentID: v.EnvironmentID, VersionHash: v.VersionHash, Message: v.Message,
		Changes: changesJSON, CreatedAt: v.CreatedAt, Parents: parents, ParentVersionID: nullID(parent), Seq: v.Seq,
		ManifestHash: v.ManifestHash, Manifest: v.Manifest, Canonical: string(v.Canonical),
		FlakeContent: v.FlakeContent, FlakeLock: v.FlakeLock, DrvPath: v.DrvPath, OutPath: v.OutPath,
		Author: v.Author, CreatedBy: v.CreatedBy,
	})
	if violates(err, "environment_versions_hash_key") {
		return nixspace.Errorf(nixspace.KindExists, "version_exists", "there is already a version %s", v.VersionHash)
	}
	return mapError(err, "create a version")
}

func (s versions) ByIDs(ctx context.Context, ids ...nixspace.ID) ([]nixspace.Version, error) {
	rows, err := s.q.VersionsByID(ctx, validIDs(ids))
	if err != nil {
		return nil, mapError(err, "read versions")
	}
	return versionList(rows)
}

func (s versions) Hashes(ctx context.Context, ids ...nixspace.ID) ([]string, error) {
	hashes, err := s.q.VersionHashes(ctx, validIDs(ids))
	return hashes, mapError(err, "read the hashes of versions")
}

func (s versions) ByHash(ctx context.Context, prefix string, limit int) ([]nixspace.Version, error) {
	rows, err := s.q.VersionsByHash(ctx, db.VersionsByHashParams{Prefix: prefix, MaxRows: int32(limit)})
	if err != nil {
		return nil, mapError(err, "find a version")
	}
	return versionList(rows)
}

func (s versions) History(ctx context.Context, head nixspace.ID, before int64, limit int) ([]nixspace.Version, error) {
	rows, err := s.q.VersionHistory(ctx, db.VersionHistoryParams{Head: head, BeforeSeq: before, MaxRows: int32(limit)})
	if err != nil {
		return nil, mapError(err, "read an environment's history")
	}
	list := make([]db.EnvironmentVersion, len(rows))
	for i, row := range rows {
		list[i] = db.EnvironmentVersion(row)
	}
	return versionList(list)
}

func (s versions) Realisation(ctx context.Context, drvPath string) (*nixspace.Realisation, error) {
	row, err := s.q.RealisationByDrv(ctx, drvPath)
	if err != nil {
		return nil, oneError(err, "realisation", "of "+drvPath)
	}
	return &nixspace.Realisation{
		ManifestHash: row.ManifestHash, DrvPath: row.DrvPath, OutPath: row.OutPath,
		ClosureDigest: row.ClosureDigest, ClosureSize: row.ClosureSize, Paths: int(row.Paths),
		RealisedAt: row.RealisedAt.UTC(),
	}, nil
}

func (s versions) PutRealisation(ctx context.Context, r *nixspace.Realisation) error {
	return mapError(s.q.PutRealisation(ctx, db.PutRealisationParams{
		DrvPath: r.DrvPath, ManifestHash: r.ManifestHash, OutPath: r.OutPath, ClosureDigest: r.ClosureDigest,
		ClosureSize: r.ClosureSize, Paths: int32(r.Paths), RealisedAt: r.RealisedAt,
	}), "record a realisation")
}

func version(row db.EnvironmentVersion) (*nixspace.Version, error) {
	v := &nixspace.Version{
		ID: row.ID, EnvironmentID: row.EnvironmentID, VersionHash: row.VersionHash, Parents: row.Parents,
		ManifestHash: row.ManifestHash, Manifest: row.Manifest, Canonical: []byte(row.Canonical),
		FlakeContent: row.FlakeContent, FlakeLock: row.FlakeLock, DrvPath: row.DrvPath, OutPath: row.OutPath,
		Message: row.Message, Author: row.Author, CreatedBy: row.CreatedBy, CreatedAt: row.CreatedAt.UTC(), Seq: row.Seq,
	}
	if err := json.Unmarshal(row.Changes, &v.Changes); err != nil {
		return nil, fmt.Errorf("decode the changes of version %s: %w", row.ID, err)
	}
	return v, nil
}

func versionList(rows []db.EnvironmentVersion) ([]nixspace.Version, error) {
	vs := make([]nixspace.Version, len(rows))
	for i, row := range rows {
		v, err := version(row)
		if err != nil {
			return nil, err
		}
		vs[i] = *v
	}
	return vs, nil
}
