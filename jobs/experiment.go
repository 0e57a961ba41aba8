package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/experiments"
	"github.com/nixspace/nixspace/app/records"
)

const (
	queueExperiment    = "experiment"
	experimentAttempts = 3
	experimentWorkers  = 4
	// experimentLimit ends an experiment that hangs; its runs end themselves before.
	experimentLimit = 48 * time.Hour
)

var _ experiments.Jobs = (*Queue)(nil)

// experimentArgs are the arguments of an experiment's job. The name of the field is
// in the database: it stays. There may be several jobs of one experiment: one that
// was interrupted is queued again while its last job ends, and only one at a time
// does anything.
type experimentArgs struct {
	Experiment nixspace.ID `json:"experiment_id"`
}

// Kind names the job in the database.
func (experimentArgs) Kind() string { return "experiment" }

// InsertOpts says where the job waits.
func (experimentArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueExperiment, MaxAttempts: experimentAttempts}
}

// EnqueueExperiment implements experiments.Jobs.
func (q *Queue) EnqueueExperiment(ctx context.Context, tx records.Tx, experiment nixspace.ID) error {
	return q.enqueue(ctx, tx, experimentArgs{experiment}, nil, "experiment", experiment)
}

// CancelExperiment implements experiments.Jobs. There may be nothing to cancel.
func (q *Queue) CancelExperiment(ctx context.Context, experiment nixspace.ID) error {
	return q.cancel(ctx, experimentArgs{}.Kind(), "experiment", experiment)
}

// experimentWorker works experiments' jobs.
type experimentWorker struct {
	river.WorkerDefaults[experimentArgs]
	queue *Queue
}

// Timeout bounds one attempt.
func (*experimentWorker) Timeout(*river.Job[experimentArgs]) time.Duration { return experimentLimit }

// Work runs one attempt.
func (w *experimentWorker) Work(ctx context.Context, job *river.Job[experimentArgs]) error {
	err := (*w.queue.worker.Load()).RunExperiment(ctx, job.Args.Experiment)
	return w.queue.outcome(ctx, err, "experiment", job.Args.Experiment, job.Attempt)
}
