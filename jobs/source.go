package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/fetches"
	"github.com/nixspace/nixspace/app/records"
)

const (
	queueSource    = "source"
	sourceAttempts = 3
	sourceWorkers  = 2
	// sourceLimit ends a fetch that hangs; one that works ends itself before.
	sourceLimit = time.Hour
)

var _ fetches.Jobs = (*Queue)(nil)

// sourceArgs are the arguments of a fetch job. The name of the field is in the
// database: it stays.
type sourceArgs struct {
	Fetch nixspace.ID `json:"fetch_id"`
}

// Kind names the job in the database.
func (sourceArgs) Kind() string { return "source" }

// InsertOpts makes one job of a fetch at a time.
func (sourceArgs) InsertOpts() river.InsertOpts { return oneAtATime(queueSource, sourceAttempts) }

// EnqueueFetch implements fetches.Jobs.
func (q *Queue) EnqueueFetch(ctx context.Context, tx records.Tx, fetch nixspace.ID) error {
	return q.enqueue(ctx, tx, sourceArgs{fetch}, nil, "fetch", fetch)
}

// CancelFetch implements fetches.Jobs. There may be nothing to cancel.
func (q *Queue) CancelFetch(ctx context.Context, fetch nixspace.ID) error {
	return q.cancel(ctx, sourceArgs{}.Kind(), "fetch", fetch)
}

// sourceWorker works fetch jobs.
type sourceWorker struct {
	river.WorkerDefaults[sourceArgs]
	queue *Queue
}

// Timeout bounds one attempt.
func (*sourceWorker) Timeout(*river.Job[sourceArgs]) time.Duration { return sourceLimit }

// Work runs one attempt.
func (w *sourceWorker) Work(ctx context.Context, job *river.Job[sourceArgs]) error {
	err := (*w.queue.worker.Load()).RunFetch(ctx, job.Args.Fetch)
	return w.queue.outcome(ctx, err, "fetch", job.Args.Fetch, job.Attempt)
}
