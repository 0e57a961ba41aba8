package sessions

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
)

// BranchWithData asks for a branch whose first session begins with the data of
// another one.
type BranchWithData struct {
	environments.Branch
	// Session is whose data it is, a session of the environment that is branched;
	// when empty, the newest there that has any.
	Session string
}

// DataBranch is a branch with its first session.
type DataBranch struct {
	Environment *nixspace.Environment
	Version     *nixspace.Version
	Build       *nixspace.Build
	Session     *nixspace.Session // of the branch; it starts once the branch is built
	Source      *nixspace.Session // whose disk it has a copy of
	// Consistency says what the copy is: see [nixspace.Snapshot].
	Consistency string
}

// BranchWithData makes an environment from another one's version, and starts its
// first session on a copy of a session's disk. It fails with code
// "data_major_mismatch" where the branch has another major version of PostgreSQL,
// whose files that could not be.
func (a *UseCases) BranchWithData(ctx context.Context, in BranchWithData) (*DataBranch, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if err := nixspace.CheckName("an environment", in.Name); err != nil {
		return nil, err
	}
	from, base, err := records.FindVersion(ctx, tx, in.From)
	if err != nil {
		return nil, err
	}
	taken, err := tx.Environments().Named(ctx, from.Project, in.Name)
	if err != nil {
		return nil, err
	}
	if len(taken) > 0 { // before anything is copied
		return nil, nixspace.Errorf(nixspace.KindExists, "environment_exists", "there is an environment %s already", taken[0].Ref()).
			WithHint("choose another name")
	}
	source, err := dataSource(ctx, tx, from, in.Session)
	if err != nil {
		return nil, err
	}
	if err := a.checkMajor(ctx, tx, source, base, in.Edits); err != nil {
		return nil, err
	}
	a.checkpoint(ctx, source)
	out := &DataBranch{Source: source}
	_, err = a.takeSnapshot(ctx, snapshotTask{
		session: source.ID, implicit: true,
		prepare: func(ctx context.Context, snap *nixspace.Snapshot) (err error) {
			// A snapshot with memory has a disk in full swing, and its disk alone is as
			// after a power failure.
			out.Consistency = snap.Consistency
			if snap.Memory {
				out.Consistency = nixspace.ConsistencyCrash
			}
			out.Environment, out.Version, out.Build, err = a.environments.Branch(ctx, in.Branch)
			return err
		},
		commit: func(ctx context.Context, actor nixspace.Actor, tx records.Tx, snap *nixspace.Snapshot) error {
			out.Session = a.sessionFrom(actor, snap, false)
			out.Session.EnvironmentID, out.Session.EnvironmentVersionID = out.Environment.ID, out.Version.ID
			out.Session.DiskOnly = true
			if err := tx.Sessions().Create(ctx, out.Session); err != nil {
				return err
			}
			return tx.Events().Append(ctx, &nixspace.Event{
				At: records.Now(), Kind: "session.data_branched", ProjectID: out.Environment.ProjectID, EnvironmentID: out.Environment.ID,
				SessionID: out.Session.ID, Actor: actor.Name,
				Message: fmt.Sprintf("session %s begins with a copy of the data of %s (%s)", out.Session.Ref(), source.Ref(), out.Consistency),
				Data:    map[string]any{"from": source.ID, "consistency": out.Consistency},
			})
		},
	})
	if err != nil {
		return nil, err
	}
	return out, a.launch(ctx, out.Session)
}

// dataSource returns the session whose data a branch begins with.
func dataSource(ctx context.Context, tx records.Tx, env *nixspace.Environment, ref string) (*nixspace.Session, error) {
	if ref != "" {
		s, err := records.FindSession(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		if s.EnvironmentID != env.ID {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "data_foreign", "session %s is none of %s", s.Ref(), env.Ref()).
				WithHint("branch %s instead", s.Environment)
		}
		return s, nil
	}
	all, err := tx.Sessions().List(ctx, nixspace.SessionFilter{Environment: env.ID})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(s nixspace.Session) bool {
		return !s.Ephemeral && s.NeedsSnapshot == "" && !s.Status.Transient()
	})
	if i < 0 {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "data_none", "no session of %s has data", env.Ref()).
			WithHint("branch without data, or start one with `nixspace start %s`", env.Ref())
	}
	return &all[i], nil
}

// checkMajor refuses to put the files of one major version of PostgreSQL under
// another.
func (a *UseCases) checkMajor(ctx context.Context, tx records.Tx, source *nixspace.Session, base *nixspace.Version, edits []environments.Edit) error {
	v, err := records.OneVersion(ctx, tx, source.EnvironmentVersionID)
	if err != nil {
		return err
	}
	before, err := records.Restore(v)
	if err != nil {
		return err
	}
	var after *manifest.Resolved
	if len(edits) == 0 {
		after, err = records.Restore(base)
	} else {
		var def *environments.Definition
		if def, err = a.environments.Redefine(ctx, base, edits); err == nil {
			after = def.Resolved
		}
	}
	if err != nil {
		return err
	}
	had, has := PostgresMajor(before), PostgresMajor(after)
	if had == "" || has == "" || had == has {
		return nil
	}
	return nixspace.Errorf(nixspace.KindConflict, "data_major_mismatch",
		"the data of session %s is of PostgreSQL %s, whose files PostgreSQL %s cannot read", source.Ref(), had, has).
		WithHint("branch without data, start the branch, and carry the data over with `nixspace migrate-data %s NEW-SESSION`", source.Ref()).
		WithDetail("from", had).WithDetail("to", has)
}

// PostgresMajor is the major version of an environment's PostgreSQL service;
// empty where it has none.
func PostgresMajor(r *manifest.Resolved) string {
	if _, ok := r.Manifest.Services["postgresql"]; !ok {
		return ""
	}
	p, ok := r.Family("postgresql")
	if !ok {
		return ""
	}
	major, _, _ := strings.Cut(p.Version, ".")
	return major
}

// checkpointLimit bounds what is done for a disk before it is copied.
const checkpointLimit = 20 * time.Second

// checkpoint has a running session's PostgreSQL write what it holds, and its file
// system too, so that little has to be recovered in the copy. Nothing depends on
// it: it is as good as it gets.
func (a *UseCases) checkpoint(ctx context.Context, s *nixspace.Session) {
	if s.Status != nixspace.SessionRunning {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkpointLimit)
	defer cancel()
	m, err := a.machines.Attach(ctx, s.ID)
	if err != nil {
		return
	}
	p, err := m.Exec(ctx, nixspace.Command{Argv: []string{"sh", "-c", "psql -qXc checkpoint >/dev/null 2>&1; sync"}})
	if err != nil {
		return
	}
	defer p.Close()
	defer context.AfterFunc(ctx, func() { p.Close() })()
	p.Stdin().Close()
	go func() { _, _ = io.Copy(io.Discard, p.Stderr()) }()
	_, _ = io.Copy(io.Discard, p.Stdout())
	if code, err := p.Wait(); err != nil || code != 0 {
		a.log.Info("a disk is copied without a checkpoint", "session", s.ID, "code", code, "error", err)
	}
}
