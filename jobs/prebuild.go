package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/prebuilds"
	"github.com/nixspace/nixspace/app/records"
)

const (
	queuePrebuild    = "prebuild"
	prebuildAttempts = 3
	// prebuildWorkers is small: each is a machine that works as hard as it can.
	prebuildWorkers = 1
	// prebuildLimit ends a prebuild that hangs; one that works ends itself before.
	prebuildLimit = 3 * time.Hour
)

var _ prebuilds.Jobs = (*Queue)(nil)

// prebuildArgs are the arguments of a prebuild job. The name of the field is in the
// database: it stays.
type prebuildArgs struct {
	Prebuild nixspace.ID `json:"prebuild_id"`
}

// Kind names the job in the database.
func (prebuildArgs) Kind() string { return "prebuild" }

// InsertOpts makes one job of a prebuild at a time.
func (prebuildArgs) InsertOpts() river.InsertOpts { return oneAtATime(queuePrebuild, prebuildAttempts) }

// EnqueuePrebuild implements prebuilds.Jobs.
func (q *Queue) EnqueuePrebuild(ctx context.Context, tx records.Tx, prebuild nixspace.ID) error {
	return q.enqueue(ctx, tx, prebuildArgs{prebuild}, nil, "prebuild", prebuild)
}

// CancelPrebuild implements prebuilds.Jobs. There may be nothing to cancel.
func (q *Queue) CancelPrebuild(ctx context.Context, prebuild nixspace.ID) error {
	return q.cancel(ctx, prebuildArgs{}.Kind(), "prebuild", prebuild)
}

// prebuildWorker works prebuild jobs.
type prebuildWorker struct {
	river.WorkerDefaults[prebuildArgs]
	queue *Queue
}

// Timeout bounds one attempt.
func (*prebuildWorker) Timeout(*river.Job[prebuildArgs]) time.Duration { return prebuildLimit }

// Work runs one attempt.
func (w *prebuildWorker) Work(ctx context.Context, job *river.Job[prebuildArgs]) error {
	err := (*w.queue.worker.Load()).RunPrebuild(ctx, job.Args.Prebuild)
	return w.queue.outcome(ctx, err, "prebuild", job.Args.Prebuild, job.Attempt)
}
