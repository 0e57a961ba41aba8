// Package experiments runs a command on several versions of environments, each time
// in a machine of its own, and says how they differ: side by side, measured, or by
// searching for the change that broke it.
//
// An experiment is a durable job. Everything it has learned is recorded run by run,
// and what it does next follows from that, so it goes on where it was interrupted.
// Whatever happens, the machines that it made are gone when it has ended: their ids
// are noted before they are made.
package experiments

import (
	"context"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/sessions"
	"github.com/nixspace/nixspace/app/work"
)

// Jobs queues experiments, in the transaction that asks for them.
type Jobs interface {
	EnqueueExperiment(ctx context.Context, tx records.Tx, experiment nixspace.ID) error
	CancelExperiment(ctx context.Context, experiment nixspace.ID) error
}

// Config is what experiments work with. All fields but Parallel are required; where
// Jobs is nil, experiments cannot be made.
type Config struct {
	Records      *records.Records
	Packages     builds.Packages
	Builds       *builds.UseCases
	Environments *environments.UseCases
	Sessions     *sessions.UseCases
	Jobs         Jobs
	Log          *slog.Logger
	// Parallel is how many machines one experiment runs at a time, where it does not
	// say; as many as there are processors when 0.
	Parallel int
}

// UseCases are the use cases about experiments. They are safe for concurrent use.
type UseCases struct {
	cfg     Config
	running *work.RunSet
	live    *live
}

// New returns the use cases about experiments.
func New(cfg Config) *UseCases {
	if cfg.Parallel == 0 {
		cfg.Parallel = runtime.NumCPU()
	}
	return &UseCases{cfg: cfg, running: work.NewRunSet(), live: newLive()}
}

// Experiments lists experiments, newest first.
func (u *UseCases) Experiments(ctx context.Context, kind nixspace.ExperimentKind, project string, before int64, limit int) ([]nixspace.Experiment, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	f := nixspace.ExperimentFilter{Kind: kind, Before: before, Limit: min(max(limit, 1), 500)}
	if project != "" {
		p, err := records.FindProject(ctx, tx, project)
		if err != nil {
			return nil, err
		}
		f.Project = p.ID
	}
	return tx.Experiments().List(ctx, f)
}

// Experiment returns one by its number or ID.
func (u *UseCases) Experiment(ctx context.Context, ref string) (*nixspace.Experiment, error) {
	_, e, err := u.find(ctx, ref)
	return e, err
}

// find returns an experiment, and the records that its actor may use.
func (u *UseCases) find(ctx context.Context, ref string) (records.Tx, *nixspace.Experiment, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, nil, err
	}
	if nixspace.ID(ref).Valid() {
		e, err := tx.Experiments().ByID(ctx, nixspace.ID(ref))
		return tx, e, err
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(ref, "#"), 10, 64)
	if err != nil || n < 1 {
		return nil, nil, nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.100q does not name an experiment", ref).
			WithHint("give its number, as `nixspace experiments` lists it")
	}
	e, err := tx.Experiments().ByNumber(ctx, n)
	if records.NotFound(err) {
		return nil, nil, nixspace.Errorf(nixspace.KindNotFound, "experiment_unknown", "there is no experiment %d", n).
			WithHint("see them with `nixspace experiments`")
	}
	return tx, e, err
}

// ExperimentRuns lists the runs of an experiment in the order in which they began.
func (u *UseCases) ExperimentRuns(ctx context.Context, id nixspace.ID, full bool) ([]nixspace.ExperimentRun, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return tx.ExperimentRuns().List(ctx, id, full)
}

// ExperimentRun returns one run with its output.
func (u *UseCases) ExperimentRun(ctx context.Context, id nixspace.ID, seq int) (*nixspace.ExperimentRun, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	r, err := tx.ExperimentRuns().One(ctx, id, seq)
	if err == nil {
		r.Artifact = nil
	}
	return r, err
}

// ExperimentArtifact returns the archive (tar) of what a run left. It fails with kind
// not_found where it left nothing.
func (u *UseCases) ExperimentArtifact(ctx context.Context, ref string, seq int) ([]byte, error) {
	tx, e, err := u.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	r, err := tx.ExperimentRuns().One(ctx, e.ID, seq)
	if err != nil {
		return nil, err
	}
	if r.Artifact == nil {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "artifact_unknown", "run %d of experiment %d has no artefacts", seq, e.Number)
	}
	return r.Artifact, nil
}

// CancelExperiment interrupts an experiment and returns once nothing of it runs.
// What it has learned stays; ResumeExperiment goes on from there.
func (u *UseCases) CancelExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error) {
	tx, e, err := u.find(ctx, ref)
	if err != nil || e.Status.Final() {
		return e, err
	}
	actor, err := nixspace.ActorFrom(ctx)
	if err != nil {
		return nil, err
	}
	e.Status, e.FinishedAt, e.Error, e.ErrorCode = nixspace.BuildCanceled, records.Now(), "interrupted by "+actor.Name, "canceled"
	if _, err := tx.Experiments().Step(ctx, e, nixspace.BuildQueued, nixspace.BuildRunning); err != nil {
		return nil, err
	}
	u.running.Stop(ctx, e.ID, work.ErrSuperseded)
	if u.cfg.Jobs != nil {
		if err := u.cfg.Jobs.CancelExperiment(ctx, e.ID); err != nil {
			return nil, err
		}
	}
	// What a server that was killed left is not taken away by an attempt any more.
	if err := (&worker{u: u, e: e, tx: tx}).clear(ctx); err != nil {
		return nil, err
	}
	return tx.Experiments().ByID(ctx, e.ID)
}

// ResumeExperiment goes on with an experiment that was interrupted or failed. Runs
// whose command ended are not made again.
func (u *UseCases) ResumeExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error) {
	tx, e, err := u.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	if u.cfg.Jobs == nil {
		return nil, missing()
	}
	if e.Status == nixspace.BuildSucceeded {
		return nil, nixspace.Errorf(nixspace.KindConflict, "experiment_complete", "experiment %d is complete", e.Number).
			WithHint("see it with `nixspace experiments show %d`, or make it once more with `nixspace experiments repeat %d`", e.Number, e.Number)
	}
	if !e.Status.Final() {
		return e, nil
	}
	was := e.Status
	e.Status, e.Error, e.ErrorCode, e.FinishedAt, e.StartedAt = nixspace.BuildQueued, "", "", time.Time{}, time.Time{}
	err = u.cfg.Records.Write(ctx, func(_ nixspace.Actor, tx records.Tx) error {
		if moved, err := tx.Experiments().Step(ctx, e, was); err != nil || !moved {
			return err
		}
		return u.cfg.Jobs.EnqueueExperiment(ctx, records.Plain(tx), e.ID)
	})
	if err != nil {
		return nil, err
	}
	return tx.Experiments().ByID(ctx, e.ID)
}

// RemoveExperiment deletes an experiment that has ended, with all that its runs
// printed and left, and returns it as it was.
func (u *UseCases) RemoveExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error) {
	tx, e, err := u.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	gone, err := tx.Experiments().Delete(ctx, e.ID)
	if err == nil && !gone {
		err = nixspace.Errorf(nixspace.KindConflict, "experiment_open", "experiment %d has not ended", e.Number).
			WithHint("interrupt it first: nixspace experiments cancel %d", e.Number)
	}
	return e, err
}

func missing() error {
	return nixspace.Errorf(nixspace.KindUnavailable, "experiments_unavailable", "this server runs no experiments")
}
