package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
	"github.com/nixspace/nixspace/env/results"
)

// RunExperiment does the work of a queued experiment. It is what the job calls, and
// it can be called again: an error means that it was interrupted, or that the
// outcome could not be recorded.
func (u *UseCases) RunExperiment(ctx context.Context, id nixspace.ID) error {
	ctx = nixspace.AsSystem(ctx)
	tx := u.cfg.Records.Store.Read()
	var w *worker // set once the work is ours
	defer func() {
		if w != nil {
			u.live.forget(id)
		}
	}()
	return u.running.Run(ctx, id, work.Attempt{
		What: "experiment",
		Claim: func(ctx context.Context) (bool, error) {
			e, err := tx.Experiments().ByID(ctx, id)
			if err != nil || e.Status.Final() {
				return false, err
			}
			w = &worker{u: u, e: e, tx: tx, done: map[string]*nixspace.ExperimentRun{}}
			// What an attempt that was killed left behind goes first.
			if err := w.clear(ctx); err != nil || e.Status != nixspace.BuildQueued {
				return err == nil, err
			}
			e.Status, e.StartedAt = nixspace.BuildRunning, records.Now()
			return tx.Experiments().Step(ctx, e, nixspace.BuildQueued)
		},
		Do: func(ctx context.Context) error { return errors.Join(w.work(ctx), w.clear(ctx)) },
		Requeue: func(ctx context.Context) error {
			w.e.Status, w.e.StartedAt = nixspace.BuildQueued, time.Time{}
			_, err := tx.Experiments().Step(ctx, w.e, nixspace.BuildRunning)
			return err
		},
		Finish: func(ctx context.Context, err error) error { return w.finish(ctx, err) },
	})
}

// finish records how an experiment ended: with its answer, or with an error.
func (w *worker) finish(ctx context.Context, err error) error {
	e := w.e
	e.Status, e.FinishedAt, e.Error, e.ErrorCode = nixspace.BuildSucceeded, records.Now(), "", ""
	if err != nil {
		e.Status = nixspace.BuildFailed
		e.Error, e.ErrorCode = work.Explain(w.u.cfg.Log, "an experiment failed", err)
	}
	return w.u.cfg.Records.Write(ctx, func(_ nixspace.Actor, tx records.Tx) error {
		if moved, err := tx.Experiments().Step(ctx, e, nixspace.BuildRunning); err != nil || !moved {
			return err
		}
		message := fmt.Sprintf("experiment %d (%s) is complete", e.Number, e.Kind)
		if e.Error != "" {
			message = fmt.Sprintf("experiment %d (%s) failed: %s", e.Number, e.Kind, records.FirstLine(e.Error))
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: e.FinishedAt, Kind: "experiment." + string(e.Status), ProjectID: e.ProjectID, Actor: e.Author, Message: message,
			Data: map[string]any{"experiment": e.ID, "number": e.Number},
		})
	})
}

// work does what an experiment's kind is about.
func (w *worker) work(ctx context.Context) error {
	for _, n := range w.e.Spec.Numbers {
		p, err := results.ParsePattern(n)
		if err != nil {
			return err
		}
		w.patterns = append(w.patterns, p)
	}
	runs, err := w.tx.ExperimentRuns().List(ctx, w.e.ID, true)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if settled(&r) {
			w.done[r.Key] = &r
		}
	}
	switch w.e.Kind {
	case nixspace.ExperimentCompare:
		return w.compare(ctx)
	case nixspace.ExperimentBisect:
		return w.bisect(ctx)
	case nixspace.ExperimentCheck, nixspace.ExperimentUpgrades:
		return w.check(ctx)
	default:
		return w.sideBySide(ctx)
	}
}

// clear takes away everything that the experiment made: its machines and the
// snapshots that they are clones of. It goes on when ctx ends.
func (w *worker) clear(ctx context.Context) error {
	read, cancel := context.WithTimeout(context.WithoutCancel(ctx), work.RecordLimit)
	defer cancel()
	held, err := w.tx.ExperimentRuns().Held(read, w.e.ID)
	if err != nil {
		return err
	}
	for _, id := range held {
		err = errors.Join(err, w.discard(ctx, id))
	}
	if w.e.Kind == nixspace.ExperimentCompare {
		err = errors.Join(err, w.dropClones(read))
	}
	return err
}

// answer records what was found so far.
func (w *worker) answer(ctx context.Context, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode what an experiment found: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.e.Answer = b
	_, err = w.tx.Experiments().Step(ctx, w.e, nixspace.BuildRunning)
	return err
}

// version returns the version of a subject.
func (w *worker) version(ctx context.Context, s nixspace.ExperimentSubject) (*nixspace.Version, error) {
	return records.OneVersion(ctx, w.tx, s.VersionID)
}

// all makes trials, as many at a time as the experiment may, and returns their runs
// in the order of the trials.
func (w *worker) all(ctx context.Context, trials []trial, each func([]*nixspace.ExperimentRun) error) ([]*nixspace.ExperimentRun, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	runs := make([]*nixspace.ExperimentRun, len(trials))
	free := make(chan struct{}, w.e.Spec.Parallel)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, t := range trials {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-free }()
			r, err := w.try(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			if runs[i] = r; err == nil && each != nil {
				err = each(runs)
			}
			if err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return runs, nil
}

// reportOf returns what a run's output said.
func reportOf(r *nixspace.ExperimentRun) Report {
	var rep Report
	if r != nil && r.Report != nil {
		_ = json.Unmarshal(r.Report, &rep) // it is this package's own
	}
	return rep
}
