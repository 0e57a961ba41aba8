package experiments

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/measure"
	"github.com/nixspace/nixspace/env/results"
)

// CompareAnswer is what an experiment of kind "compare" found.
type CompareAnswer struct {
	Plan     measure.Plan      `json:"plan"`
	Measures []measure.Measure `json:"measures"` // the first one decides how often was run
	Rounds   int               `json:"rounds"`
	// Imprecise are the subjects that reached the limit of runs before their median
	// was as sure as was wanted.
	Imprecise []string `json:"imprecise"`
	// Clones says that every run began from the same snapshot of its subject; where
	// machines cannot be copied each run has a fresh one.
	Clones bool `json:"clones"`
}

// comparison is a comparison that is under way.
type comparison struct {
	*worker
	plan     measure.Plan
	versions []*nixspace.Version
	labels   []string
	runs     [][]*nixspace.ExperimentRun // of each subject, the measured ones
	clones   []nixspace.ID               // of each subject, the snapshot that its runs begin from
	fresh    bool                        // machines cannot be copied
}

// compare measures the command on each subject, in random order, until the medians
// are sure enough.
func (w *worker) compare(ctx context.Context) error {
	s := w.e.Spec
	c := &comparison{worker: w, plan: measure.Plan{Confidence: s.Confidence, Precision: s.Precision, MinRuns: s.MinRuns, MaxRuns: s.MaxRuns}}
	for _, subject := range s.Subjects {
		v, err := w.version(ctx, subject)
		if err != nil {
			return err
		}
		c.versions, c.labels = append(c.versions, v), append(c.labels, subject.Label)
	}
	c.runs, c.clones = make([][]*nixspace.ExperimentRun, len(c.labels)), make([]nixspace.ID, len(c.labels))
	for round := range s.Warmups {
		for i := range c.labels {
			if _, err := c.one(ctx, i, fmt.Sprintf("warmup/%d/%d", round+1, i+1)); err != nil {
				return err
			}
		}
	}
	for round := 1; ; round++ {
		// The order follows from the seed and the round alone: whoever goes on with this
		// experiment, or repeats it, comes to the same.
		order := rand.New(rand.NewPCG(s.Seed, uint64(round))).Perm(len(c.labels))
		open := slices.DeleteFunc(order, func(i int) bool { return c.plan.Enough(c.primary(i)) })
		if len(open) == 0 {
			return nil
		}
		for _, i := range open {
			r, err := c.one(ctx, i, fmt.Sprintf("run/%d/%d", round, i+1))
			if err != nil {
				return err
			}
			c.runs[i] = append(c.runs[i], r)
		}
		if err := w.answer(ctx, c.found(round)); err != nil {
			return err
		}
	}
}

// one makes one run of a subject. A command that fails cannot be measured.
func (c *comparison) one(ctx context.Context, i int, key string) (*nixspace.ExperimentRun, error) {
	t := trial{key: key, subject: c.labels[i], version: c.versions[i], argv: c.e.Spec.Command}
	if c.done[key] == nil {
		var err error
		if t.snapshot, err = c.clone(ctx, i); err != nil {
			return nil, err
		}
	}
	r, err := c.try(ctx, t)
	switch {
	case err != nil:
		return nil, err
	case r.ExitCode == nil:
		return nil, nixspace.Errorf(nixspace.KindUnavailable, r.ErrorCode, "%s: %s", r.Subject, r.Error)
	case *r.ExitCode != 0:
		return nil, nixspace.Errorf(nixspace.KindInvalid, "command_failed", "the command fails on %s, with exit code %d", r.Subject, *r.ExitCode).
			WithHint("see its output: nixspace experiments show %d --run %d", c.e.Number, r.Seq)
	}
	if len(c.patterns) > 0 {
		if _, ok := number(r, c.patterns[0].Name); !ok {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "number_missing", "what the command prints on %s does not say %s", r.Subject, c.patterns[0].Name).
				WithHint("see its output: nixspace experiments show %d --run %d", c.e.Number, r.Seq)
		}
	}
	return r, nil
}

// cloneName is the name of the snapshot that a subject's runs begin from.
func (w *worker) cloneName(i int) string { return fmt.Sprintf("compare-%d-%d", w.e.Number, i+1) }

// clone returns the snapshot of a subject, and takes it first where there is none.
func (c *comparison) clone(ctx context.Context, i int) (nixspace.ID, error) {
	if c.fresh || c.clones[i] != "" {
		return c.clones[i], nil
	}
	t := trial{key: fmt.Sprintf("setup/%d", i+1), subject: c.labels[i], version: c.versions[i], argv: c.e.Spec.Setup}
	err := c.inMachine(ctx, t, func(s *nixspace.Session) error {
		if len(t.argv) > 0 {
			m, err := c.u.cfg.Sessions.Machine(ctx, string(s.ID))
			if err != nil {
				return err
			}
			code, _, out, err := c.exec(ctx, m, t)
			if err != nil {
				return err
			}
			if code != 0 {
				return nixspace.Errorf(nixspace.KindInvalid, "setup_failed", "the set-up fails on %s, with exit code %d: %.300s", t.subject, code, clean(out[1].buf))
			}
		}
		snap, err := c.u.cfg.Sessions.TakeNamed(ctx, s, c.cloneName(i))
		if records.IsCode(err, "not_supported") && len(t.argv) == 0 {
			c.fresh = true
			return nil
		}
		if err != nil {
			return err
		}
		c.clones[i] = snap.ID
		return nil
	})
	return c.clones[i], err
}

// dropClones removes the snapshots of all subjects.
func (w *worker) dropClones(ctx context.Context) error {
	var errs []error
	for i, s := range w.e.Spec.Subjects {
		v, err := w.version(ctx, s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, w.u.cfg.Sessions.DropNamed(ctx, v.EnvironmentID, w.cloneName(i)))
	}
	return errors.Join(errs...)
}

// number returns a number of a run's own, and whether it has it.
func number(r *nixspace.ExperimentRun, name string) (results.Number, bool) {
	for _, n := range reportOf(r).Numbers {
		if n.Name == name {
			return n, true
		}
	}
	return results.Number{}, false
}

// primary returns the values that decide how often a subject is run: the first
// number that was asked for, or the time.
func (c *comparison) primary(i int) []float64 {
	var out []float64
	for _, r := range c.runs[i] {
		if len(c.patterns) > 0 {
			n, _ := number(r, c.patterns[0].Name) // one makes sure that it is there
			out = append(out, n.Value)
			continue
		}
		out = append(out, wall(r))
	}
	return out
}

func wall(r *nixspace.ExperimentRun) float64 {
	if r.Usage != nil {
		return r.Usage.Wall.Seconds()
	}
	return r.FinishedAt.Sub(r.StartedAt).Seconds()
}

// usages are the measures that the machine gives.
var usages = []struct {
	name, unit string
	of         func(*nixspace.Usage) float64
}{
	{"processor time", "s", func(u *nixspace.Usage) float64 { return (u.User + u.System).Seconds() }},
	{"peak memory", "B", func(u *nixspace.Usage) float64 { return float64(u.Memory) }},
	{"read from disk", "B", func(u *nixspace.Usage) float64 { return float64(u.Read) }},
	{"written to disk", "B", func(u *nixspace.Usage) float64 { return float64(u.Written) }},
}

// found says what the runs show so far.
func (c *comparison) found(rounds int) CompareAnswer {
	out := CompareAnswer{Plan: c.plan, Rounds: rounds, Measures: []measure.Measure{}, Imprecise: []string{}, Clones: !c.fresh}
	add := func(name, unit string, higher bool, of func(*nixspace.ExperimentRun) (float64, bool)) {
		values := make([][]float64, len(c.labels))
		for i, runs := range c.runs {
			for _, r := range runs {
				if v, ok := of(r); ok {
					values[i] = append(values[i], v)
				}
			}
		}
		if m := c.plan.Of(name, unit, higher, c.labels, values); m != nil {
			out.Measures = append(out.Measures, *m)
		}
	}
	own := func(name string) {
		unit := ""
		for _, runs := range c.runs {
			for _, r := range runs {
				if n, ok := number(r, name); ok {
					unit = n.Unit
				}
			}
		}
		add(name, unit, results.Higher(unit), func(r *nixspace.ExperimentRun) (float64, bool) {
			n, ok := number(r, name)
			return n.Value, ok
		})
	}
	var names []string
	for _, p := range c.patterns {
		names = append(names, p.Name)
		own(p.Name)
	}
	add("time", "s", false, func(r *nixspace.ExperimentRun) (float64, bool) { return wall(r), true })
	for _, runs := range c.runs {
		for _, r := range runs {
			for _, n := range reportOf(r).Numbers {
				if !slices.Contains(names, n.Name) {
					names = append(names, n.Name)
					own(n.Name)
				}
			}
		}
	}
	for _, u := range usages {
		add(u.name, u.unit, false, func(r *nixspace.ExperimentRun) (float64, bool) {
			if r.Usage == nil {
				return 0, false
			}
			return u.of(r.Usage), true
		})
	}
	if len(out.Measures) > 0 {
		for _, s := range out.Measures[0].Samples {
			if !s.Precise {
				out.Imprecise = append(out.Imprecise, s.Subject)
			}
		}
	}
	return out
}
