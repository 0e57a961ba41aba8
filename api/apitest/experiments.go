package apitest

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/experiments"
)

// experiment is the one that there is.
func (a *App) experiment() *nixspace.Experiment {
	return &nixspace.Experiment{
		ID: "eeeeeeee-0000-4000-8000-000000000001", Number: 1, Kind: nixspace.ExperimentRunKind, Status: nixspace.BuildSucceeded,
		Spec:   nixspace.ExperimentSpec{Command: []string{"true"}, Subjects: []nixspace.ExperimentSubject{{Label: "shop", Hash: "abc"}}, Parallel: 1},
		Answer: []byte(`{"tests":null}`), Author: "ada", CreatedAt: a.now(), StartedAt: a.now(), FinishedAt: a.now(),
	}
}

func (a *App) anExperiment(ctx context.Context, method, ref string) (*nixspace.Experiment, error) {
	unlock, err := a.enter(ctx, method)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if e := a.experiment(); ref == "1" || ref == string(e.ID) {
		return e, nil
	}
	return nil, nixspace.Errorf(nixspace.KindNotFound, "experiment_unknown", "there is no experiment %s", ref)
}

// StartExperiment starts the one that there is.
func (a *App) StartExperiment(ctx context.Context, _ experiments.Start) (*nixspace.Experiment, error) {
	return a.anExperiment(ctx, "StartExperiment", "1")
}

// RepeatExperiment returns it.
func (a *App) RepeatExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error) {
	return a.anExperiment(ctx, "RepeatExperiment", ref)
}

// CancelExperiment returns it.
func (a *App) CancelExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error) {
	return a.anExperiment(ctx, "CancelExperiment", ref)
}

// RemoveExperiment returns it.
func (a *App) RemoveExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error) {
	return a.anExperiment(ctx, "RemoveExperiment", ref)
}

// ResumeExperiment returns it.
func (a *App) ResumeExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error) {
	return a.anExperiment(ctx, "ResumeExperiment", ref)
}

// Experiment returns it.
func (a *App) Experiment(ctx context.Context, ref string) (*nixspace.Experiment, error) {
	return a.anExperiment(ctx, "Experiment", ref)
}

// Experiments returns it alone.
func (a *App) Experiments(ctx context.Context, _ nixspace.ExperimentKind, _ string, _ int64, _ int) ([]nixspace.Experiment, error) {
	e, err := a.anExperiment(ctx, "Experiments", "1")
	if err != nil {
		return nil, err
	}
	return []nixspace.Experiment{*e}, nil
}

// ExperimentRuns returns one run.
func (a *App) ExperimentRuns(ctx context.Context, id nixspace.ID, _ bool) ([]nixspace.ExperimentRun, error) {
	e, err := a.anExperiment(ctx, "ExperimentRuns", string(id))
	if err != nil {
		return nil, err
	}
	zero := 0
	return []nixspace.ExperimentRun{{
		ExperimentID: e.ID, Seq: 1, Key: "run/shop", Subject: "shop", VersionHash: "abc", Status: nixspace.BuildSucceeded, ExitCode: &zero,
		Usage: &nixspace.Usage{Wall: 1500e6, Memory: 1 << 20}, Report: []byte(`{"numbers":[]}`), Stdout: "hello\n", StartedAt: a.now(), FinishedAt: a.now(),
	}}, nil
}

// ExperimentRun returns the one run.
func (a *App) ExperimentRun(ctx context.Context, id nixspace.ID, seq int) (*nixspace.ExperimentRun, error) {
	rs, err := a.ExperimentRuns(ctx, id, true)
	if err == nil && seq != 1 {
		err = nixspace.Errorf(nixspace.KindNotFound, "run_unknown", "there is no run %d", seq)
	}
	if err != nil {
		return nil, err
	}
	return &rs[0], nil
}

// ExperimentArtifact returns something.
func (a *App) ExperimentArtifact(ctx context.Context, ref string, _ int) ([]byte, error) {
	if _, err := a.anExperiment(ctx, "ExperimentArtifact", ref); err != nil {
		return nil, err
	}
	return []byte("tar"), nil
}

// WatchExperiment says how it stands.
func (a *App) WatchExperiment(ctx context.Context, ref string) (<-chan experiments.Update, error) {
	e, err := a.anExperiment(ctx, "WatchExperiment", ref)
	if err != nil {
		return nil, err
	}
	out := make(chan experiments.Update, 2)
	out <- experiments.Update{Output: &experiments.Output{Key: "run/shop", Subject: "shop", Text: "hello\n"}}
	out <- experiments.Update{Experiment: e}
	close(out)
	return out, nil
}
