package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/bundle"
)

// commit writes the records of everything, in one transaction.
func (m *importer) commit(ctx context.Context) (*Imported, error) {
	var out *Imported
	err := m.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		out = &Imported{Outcome: ImportCreated, Paths: len(m.missing)}
		at := records.Now()
		p, err := m.intoProject(ctx, tx, actor, at)
		if err != nil {
			return err
		}
		env := m.behind
		if env == nil {
			env = &nixspace.Environment{
				ID: nixspace.NewID(), ProjectID: p.ID, Project: p.Slug, Name: m.name, CreatedAt: at, UpdatedAt: at, CreatedBy: actor.ID,
				Hash: m.head.ManifestHash, FlakeContent: m.head.FlakeContent,
			}
		}
		versions, err := m.versions(ctx, tx, actor, env.ID)
		if err != nil {
			return err
		}
		head := versions[len(versions)-1]
		out.Environment, out.Version = env, head
		move := nixspace.HeadMove{EnvironmentID: env.ID, From: env.Head, Action: nixspace.MoveImport, Message: "imported from " + m.idx.String(), Actor: actor.Name, At: at}
		if m.behind == nil {
			env.Head = head.ID
			if err := tx.Environments().Create(ctx, env, environments.FirstMove(actor, move.Action, move.Message)); err != nil {
				return err
			}
		}
		known := make(map[string]*nixspace.Version, len(versions))
		for _, v := range versions {
			known[v.VersionHash] = v
			if v.Seq > 0 {
				continue // it was here
			}
			if err := m.insert(ctx, tx, v, known); err != nil {
				return err
			}
			out.Versions++
		}
		if out.Build, err = m.headBuild(ctx, tx, head, out.Versions > 0); err != nil {
			return err
		}
		if m.behind != nil {
			out.Outcome = ImportFastForward
			if err := tx.Environments().MoveHead(ctx, head, move); err != nil {
				return err
			}
			moved := *env // the transaction may be tried again
			moved.Head, moved.Hash, moved.FlakeContent = head.ID, head.ManifestHash, head.FlakeContent
			out.Environment = &moved
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: at, Kind: "environment.imported", ProjectID: p.ID, EnvironmentID: env.ID, BuildID: out.Build.ID, Actor: actor.Name,
			Message: fmt.Sprintf("imported %s", env.Ref()),
			Data:    map[string]any{"version": head.VersionHash, "from": m.idx.String(), "outcome": out.Outcome, "versions": out.Versions, "paths": out.Paths},
		})
	})
	if err != nil {
		return nil, err
	}
	out.Build, err = m.builds.Settle(ctx, out.Build)
	return out, err
}

// intoProject returns the project that the environment goes into, which it makes
// where it is new.
func (m *importer) intoProject(ctx context.Context, tx records.Tx, actor nixspace.Actor, at time.Time) (*nixspace.Project, error) {
	if m.existing != nil {
		return m.existing, nil
	}
	p := &nixspace.Project{ID: nixspace.NewID(), Slug: m.project, Source: m.idx.Source, Workspace: m.idx.Workspace, CreatedAt: at, CreatedBy: actor.ID}
	return p, tx.Projects().Create(ctx, p)
}

// versions returns the versions of the file, parents first: the stored one where
// there is one already. Those that are not stored have no Seq yet.
func (m *importer) versions(ctx context.Context, tx records.Tx, actor nixspace.Actor, env nixspace.ID) ([]*nixspace.Version, error) {
	var out []*nixspace.Version
	_, err := m.pass(bundle.Visitor{Version: func(v *nixspace.Version) error {
		found, err := tx.Versions().ByHash(ctx, v.VersionHash, 1)
		if err != nil {
			return err
		}
		if len(found) == 1 {
			v = &found[0]
		} else {
			v.ID, v.EnvironmentID, v.CreatedBy, v.Seq = nixspace.NewID(), env, actor.ID, 0
		}
		if out = append(out, v); v.VersionHash == m.idx.Head {
			return errStop
		}
		return nil
	}})
	if err != nil && !errors.Is(err, errStop) {
		return nil, err
	}
	return out, nil
}

// insert stores a version after its parents, which are among the known ones or stored.
func (m *importer) insert(ctx context.Context, tx records.Tx, v *nixspace.Version, known map[string]*nixspace.Version) error {
	v.Seq = 1
	var first nixspace.ID
	for i, h := range v.Parents {
		p, err := parentOf(ctx, tx, h, known)
		if err != nil {
			return err
		}
		if i == 0 {
			first = p.ID
		}
		v.Seq = max(v.Seq, p.Seq+1)
	}
	if err := tx.Versions().Create(ctx, v, first); err != nil {
		return err
	}
	if v.VersionHash == m.idx.Head {
		return nil
	}
	// Every version has a build; of these, nobody knows what became of theirs.
	at := records.Now()
	return tx.Builds().Create(ctx, &nixspace.Build{
		ID: nixspace.NewID(), VersionID: v.ID, Status: nixspace.BuildCanceled, CreatedAt: at, FinishedAt: at,
		Error: "it was imported, and has not been built here", ErrorCode: "imported",
	})
}

func parentOf(ctx context.Context, tx records.Tx, hash string, known map[string]*nixspace.Version) (*nixspace.Version, error) {
	if v := known[hash]; v != nil {
		return v, nil
	}
	found, err := tx.Versions().ByHash(ctx, hash, 1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("import: version %s is gone", hash)
	}
	return &found[0], nil
}

// headBuild opens a build of the head, unless it was here before.
func (m *importer) headBuild(ctx context.Context, tx records.Tx, head *nixspace.Version, isNew bool) (*nixspace.Build, error) {
	if !isNew {
		return builds.NewestBuild(ctx, tx, head.ID)
	}
	present := len(m.idx.Paths) > 0
	if !present {
		var err error
		if present, err = m.builds.Present(ctx, head); err != nil {
			return nil, err
		}
	}
	return m.builds.OpenBuild(ctx, tx, head.ID, present, records.Now())
}
