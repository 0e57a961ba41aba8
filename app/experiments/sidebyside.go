package experiments

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/results"
)

// RunAnswer is what an experiment of kind "run" found.
type RunAnswer struct {
	// Tests compares the results of tests; nil where no output had any.
	Tests *results.Table `json:"tests"`
}

// sideBySide runs the command once on each subject.
func (w *worker) sideBySide(ctx context.Context) error {
	var trials []trial
	var labels []string
	for _, s := range w.e.Spec.Subjects {
		v, err := w.version(ctx, s)
		if err != nil {
			return err
		}
		trials = append(trials, trial{key: "run/" + s.Label, subject: s.Label, version: v, argv: w.e.Spec.Command})
		labels = append(labels, s.Label)
	}
	_, err := w.all(ctx, trials, func(runs []*nixspace.ExperimentRun) error {
		reports := make([]results.Report, len(runs))
		for i, r := range runs {
			reports[i] = reportOf(r).Tests
		}
		return w.answer(ctx, RunAnswer{Tests: results.Compare(labels, reports)})
	})
	return err
}
