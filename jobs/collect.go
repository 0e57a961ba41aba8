package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

const (
	queueCollect = "collect"
	collectLimit = time.Hour
)

// Collector does the work of collecting jobs, where the worker that a queue is
// started with can. [app.App] implements it.
type Collector interface {
	// RunCollection removes what nothing needs. It can be called again after any
	// failure or crash.
	RunCollection(ctx context.Context) error
}

// collectArgs are the arguments of a collecting job.
type collectArgs struct{}

// Kind names the job in the database.
func (collectArgs) Kind() string { return "collect" }

// periodic returns the jobs that come by themselves. A server that is started
// often collects no more often for that: there is one such job in a period.
func (q *Queue) periodic() []*river.PeriodicJob {
	every := q.cfg.CollectEvery
	if every <= 0 {
		return nil
	}
	return []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(every), q.collection, &river.PeriodicJobOpts{RunOnStart: true})}
}

// collection is the collecting job of the present period.
func (q *Queue) collection() (river.JobArgs, *river.InsertOpts) {
	return collectArgs{}, &river.InsertOpts{
		Queue: queueCollect, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByPeriod: max(q.cfg.CollectEvery, time.Second)},
	}
}

// collectWorker works collecting jobs.
type collectWorker struct {
	river.WorkerDefaults[collectArgs]
	queue *Queue
}

// Timeout bounds one attempt.
func (*collectWorker) Timeout(*river.Job[collectArgs]) time.Duration { return collectLimit }

// Work runs one attempt.
func (w *collectWorker) Work(ctx context.Context, _ *river.Job[collectArgs]) error {
	c, ok := (*w.queue.worker.Load()).(Collector)
	if !ok {
		return nil
	}
	err := c.RunCollection(ctx)
	if err != nil && !w.queue.stopping.Load() {
		w.queue.cfg.Log.Warn("garbage was not collected", "error", err)
	}
	return err
}
