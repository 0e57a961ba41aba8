package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type experiments struct{ q *db.Queries }

func (s experiments) Create(ctx context.Context, e *nixspace.Experiment) error {
	spec, err := json.Marshal(e.Spec)
	if err != nil {
		return fmt.Errorf("encode an experiment: %w", err)
	}
	e.Number, err = s.q.InsertExperiment(ctx, db.InsertExperimentParams{
		ID: e.ID, ProjectID: e.ProjectID, Kind: string(e.Kind), Status: string(e.Status), Spec: spec,
		Author: e.Author, CreatedAt: e.CreatedAt, CreatedBy: e.CreatedBy,
	})
	return mapError(err, "create an experiment")
}

func (s experiments) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Experiment, error) {
	if !id.Valid() {
		return nil, notFound("experiment", id)
	}
	row, err := s.q.ExperimentByID(ctx, id)
	if err != nil {
		return nil, oneError(err, "experiment", id)
	}
	return experiment(row)
}

func (s experiments) ByNumber(ctx context.Context, n int64) (*nixspace.Experiment, error) {
	row, err := s.q.ExperimentByNumber(ctx, n)
	if err != nil {
		return nil, oneError(err, "experiment", n)
	}
	return experiment(row)
}

func (s experiments) List(ctx context.Context, f nixspace.ExperimentFilter) ([]nixspace.Experiment, error) {
	rows, err := s.q.ListExperiments(ctx, db.ListExperimentsParams{
		ProjectID: nullID(f.Project), Kind: string(f.Kind), Version: string(f.Version), Open: f.Open, Before: f.Before, MaxRows: int32(f.Limit),
	})
	if err != nil {
		return nil, mapError(err, "list experiments")
	}
	out := make([]nixspace.Experiment, len(rows))
	for i, row := range rows {
		e, err := experiment(row)
		if err != nil {
			return nil, err
		}
		out[i] = *e
	}
	return out, nil
}

func (s experiments) Step(ctx context.Context, e *nixspace.Experiment, from ...nixspace.BuildStatus) (bool, error) {
	n, err := s.q.StepExperiment(ctx, db.StepExperimentParams{
		Status: string(e.Status), Error: e.Error, ErrorCode: e.ErrorCode, Answer: e.Answer,
		StartedAt: nullTime(e.StartedAt), FinishedAt: nullTime(e.FinishedAt), ID: e.ID, FromStatus: texts(from),
	})
	return n == 1, mapError(err, "change an experiment")
}

func (s experiments) Delete(ctx context.Context, id nixspace.ID) (bool, error) {
	n, err := s.q.DeleteExperiment(ctx, id)
	return n == 1, mapError(err, "delete an experiment")
}

func experiment(row db.Experiment) (*nixspace.Experiment, error) {
	e := &nixspace.Experiment{
		ID: row.ID, Number: row.Number, ProjectID: row.ProjectID, Kind: nixspace.ExperimentKind(row.Kind), Status: nixspace.BuildStatus(row.Status),
		Error: row.Error, ErrorCode: row.ErrorCode, Answer: row.Answer, Author: row.Author, CreatedBy: row.CreatedBy,
		CreatedAt: row.CreatedAt.UTC(), StartedAt: timeOf(row.StartedAt), FinishedAt: timeOf(row.FinishedAt),
	}
	if err := json.Unmarshal(row.Spec, &e.Spec); err != nil {
		return nil, fmt.Errorf("read a stored experiment: %w", err)
	}
	return e, nil
}

type experimentRuns struct{ q *db.Queries }

func (s experimentRuns) Put(ctx context.Context, r *nixspace.ExperimentRun) error {
	var usage []byte
	if r.Usage != nil {
		var err error
		if usage, err = json.Marshal(r.Usage); err != nil {
			return fmt.Errorf("encode what a command used: %w", err)
		}
	}
	var code *int32
	if r.ExitCode != nil {
		n := int32(*r.ExitCode)
		code = &n
	}
	seq, err := s.q.PutExperimentRun(ctx, db.PutExperimentRunParams{
		ExperimentID: r.ExperimentID, Key: r.Key, Subject: r.Subject, VersionID: nullID(r.VersionID), VersionHash: r.VersionHash,
		Status: string(r.Status), ExitCode: code, Error: r.Error, ErrorCode: r.ErrorCode, Usage: usage, Report: r.Report,
		Stdout: r.Stdout, Stderr: r.Stderr, Truncated: r.Truncated, Artifact: r.Artifact,
		StartedAt: r.StartedAt, FinishedAt: nullTime(r.FinishedAt),
	})
	if err != nil {
		return mapError(err, "store a run")
	}
	r.Seq = int(seq)
	return nil
}

func (s experimentRuns) List(ctx context.Context, experiment nixspace.ID, full bool) ([]nixspace.ExperimentRun, error) {
	rows, err := s.q.ListExperimentRuns(ctx, db.ListExperimentRunsParams{FullRows: full, ExperimentID: experiment})
	if err != nil {
		return nil, mapError(err, "list runs")
	}
	out := make([]nixspace.ExperimentRun, len(rows))
	for i, row := range rows {
		r, err := experimentRun(db.ExperimentRun{
			ExperimentID: row.ExperimentID, Seq: row.Seq, Key: row.Key, Subject: row.Subject, VersionID: row.VersionID, VersionHash: row.VersionHash,
			Status: row.Status, ExitCode: row.ExitCode, Error: row.Error, ErrorCode: row.ErrorCode, Usage: row.Usage, Report: row.Report,
			Stdout: row.Stdout, Stderr: row.Stderr, Truncated: row.Truncated, StartedAt: row.StartedAt, FinishedAt: row.FinishedAt,
		})
		if err != nil {
			return nil, err
		}
		r.HasArtifact = row.HasArtifact
		out[i] = *r
	}
	return out, nil
}

func (s experimentRuns) One(ctx context.Context, experiment nixspace.ID, seq int) (*nixspace.ExperimentRun, error) {
	row, err := s.q.OneExperimentRun(ctx, db.OneExperimentRunParams{ExperimentID: experiment, Seq: int32(seq)})
	if err != nil {
		return nil, oneError(err, "run", seq)
	}
	return experimentRun(row)
}

func (s experimentRuns) Hold(ctx context.Context, experiment, session nixspace.ID) error {
	return mapError(s.q.HoldSession(ctx, db.HoldSessionParams{ExperimentID: experiment, SessionID: session}), "note a session")
}

func (s experimentRuns) Release(ctx context.Context, experiment, session nixspace.ID) error {
	return mapError(s.q.ReleaseSession(ctx, db.ReleaseSessionParams{ExperimentID: experiment, SessionID: session}), "forget a session")
}

func (s experimentRuns) Held(ctx context.Context, experiment nixspace.ID) ([]nixspace.ID, error) {
	ids, err := s.q.HeldSessions(ctx, experiment)
	return ids, mapError(err, "list sessions")
}

func experimentRun(row db.ExperimentRun) (*nixspace.ExperimentRun, error) {
	r := &nixspace.ExperimentRun{
		ExperimentID: row.ExperimentID, Seq: int(row.Seq), Key: row.Key, Subject: row.Subject, VersionID: idOf(row.VersionID), VersionHash: row.VersionHash,
		Status: nixspace.BuildStatus(row.Status), Error: row.Error, ErrorCode: row.ErrorCode, Report: row.Report, Stdout: row.Stdout, Stderr: row.Stderr,
		Truncated: row.Truncated, Artifact: row.Artifact, HasArtifact: row.Artifact != nil,
		StartedAt: row.StartedAt.UTC(), FinishedAt: timeOf(row.FinishedAt),
	}
	if row.ExitCode != nil {
		n := int(*row.ExitCode)
		r.ExitCode = &n
	}
	if row.Usage != nil {
		r.Usage = &nixspace.Usage{}
		if err := json.Unmarshal(row.Usage, r.Usage); err != nil {
			return nil, fmt.Errorf("read what a command used: %w", err)
		}
	}
	return r, nil
}
