package records

import (
	"context"

	"github.com/nixspace/nixspace"
)

type scopedExperiments struct{ s *scope }

// in checks the role in an experiment's project.
func (x scopedExperiments) in(e *nixspace.Experiment, err error, least nixspace.Role) (*nixspace.Experiment, error) {
	if err != nil {
		return nil, err
	}
	if err := x.s.check(x.s.access.InProject(e.ProjectID), least, "experiment", string(e.ID)); err != nil {
		return nil, err
	}
	return e, nil
}

func (x scopedExperiments) Create(ctx context.Context, e *nixspace.Experiment) error {
	if _, err := x.in(e, nil, nixspace.RoleDeveloper); err != nil {
		return err
	}
	return x.s.raw().Experiments().Create(ctx, e)
}

func (x scopedExperiments) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Experiment, error) {
	e, err := x.s.raw().Experiments().ByID(ctx, id)
	return x.in(e, err, nixspace.RoleViewer)
}

func (x scopedExperiments) ByNumber(ctx context.Context, n int64) (*nixspace.Experiment, error) {
	e, err := x.s.raw().Experiments().ByNumber(ctx, n)
	return x.in(e, err, nixspace.RoleViewer)
}

// List reads on until there are as many as were asked for, or no more.
func (x scopedExperiments) List(ctx context.Context, f nixspace.ExperimentFilter) ([]nixspace.Experiment, error) {
	var out []nixspace.Experiment
	for {
		found, err := x.s.raw().Experiments().List(ctx, f)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if _, err := x.in(&found[i], nil, nixspace.RoleViewer); err == nil && (f.Limit == 0 || len(out) < f.Limit) {
				out = append(out, found[i])
			}
		}
		if f.Limit == 0 || len(found) < f.Limit || len(out) >= f.Limit {
			return out, nil
		}
		f.Before = found[len(found)-1].Number
	}
}

func (x scopedExperiments) Step(ctx context.Context, e *nixspace.Experiment, from ...nixspace.BuildStatus) (bool, error) {
	if _, err := x.in(e, nil, nixspace.RoleDeveloper); err != nil {
		return false, err
	}
	return x.s.raw().Experiments().Step(ctx, e, from...)
}

func (x scopedExperiments) Delete(ctx context.Context, id nixspace.ID) (bool, error) {
	e, err := x.s.raw().Experiments().ByID(ctx, id)
	if _, err := x.in(e, err, nixspace.RoleDeveloper); err != nil {
		return false, err
	}
	return x.s.raw().Experiments().Delete(ctx, id)
}

type scopedExperimentRuns struct{ s *scope }

func (x scopedExperimentRuns) of(ctx context.Context, experiment nixspace.ID, least nixspace.Role) error {
	e, err := x.s.raw().Experiments().ByID(ctx, experiment)
	_, err = scopedExperiments(x).in(e, err, least)
	return err
}

func (x scopedExperimentRuns) Put(ctx context.Context, r *nixspace.ExperimentRun) error {
	if err := x.of(ctx, r.ExperimentID, nixspace.RoleDeveloper); err != nil {
		return err
	}
	return x.s.raw().ExperimentRuns().Put(ctx, r)
}

func (x scopedExperimentRuns) List(ctx context.Context, experiment nixspace.ID, full bool) ([]nixspace.ExperimentRun, error) {
	if err := x.of(ctx, experiment, nixspace.RoleViewer); err != nil {
		return nil, err
	}
	return x.s.raw().ExperimentRuns().List(ctx, experiment, full)
}

func (x scopedExperimentRuns) One(ctx context.Context, experiment nixspace.ID, seq int) (*nixspace.ExperimentRun, error) {
	if err := x.of(ctx, experiment, nixspace.RoleViewer); err != nil {
		return nil, err
	}
	return x.s.raw().ExperimentRuns().One(ctx, experiment, seq)
}

func (x scopedExperimentRuns) Hold(ctx context.Context, experiment, session nixspace.ID) error {
	if err := x.of(ctx, experiment, nixspace.RoleDeveloper); err != nil {
		return err
	}
	return x.s.raw().ExperimentRuns().Hold(ctx, experiment, session)
}

func (x scopedExperimentRuns) Release(ctx context.Context, experiment, session nixspace.ID) error {
	if err := x.of(ctx, experiment, nixspace.RoleDeveloper); err != nil {
		return err
	}
	return x.s.raw().ExperimentRuns().Release(ctx, experiment, session)
}

func (x scopedExperimentRuns) Held(ctx context.Context, experiment nixspace.ID) ([]nixspace.ID, error) {
	if err := x.of(ctx, experiment, nixspace.RoleViewer); err != nil {
		return nil, err
	}
	return x.s.raw().ExperimentRuns().Held(ctx, experiment)
}
