package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/sessions"
)

const (
	queuePrewarm = "prewarm"
	// prewarmDelay is [Config.PrewarmDelay] where that is 0.
	prewarmDelay = 5 * time.Second
	prewarmLimit = 30 * time.Minute
	// prewarmAge is how long a template is worth trying to make, where sessions that
	// start keep coming first.
	prewarmAge = 2 * time.Hour
)

var _ sessions.Prewarms = (*Queue)(nil)

// Prewarmer does the work of prewarming jobs, where the worker that a queue is
// started with can. [app.App] implements it.
type Prewarmer interface {
	// RunPrewarm makes what sessions of a version start fast from. It fails with code
	// "prewarm_yields" where it left the machine to something more urgent.
	RunPrewarm(ctx context.Context, version nixspace.ID) error
}

// prewarmArgs are the arguments of a prewarming job. The name of the field is in the
// database: it stays.
type prewarmArgs struct {
	Version nixspace.ID `json:"version_id"`
}

// Kind names the job in the database.
func (prewarmArgs) Kind() string { return "prewarm" }

// EnqueuePrewarm implements sessions.Prewarms.
func (q *Queue) EnqueuePrewarm(ctx context.Context, tx records.Tx, version nixspace.ID) error {
	opts := oneAtATime(queuePrewarm, 2)
	opts.ScheduledAt = time.Now().Add(q.cfg.PrewarmDelay)
	return q.enqueue(ctx, tx, prewarmArgs{version}, &opts, "the template of version", version)
}

// prewarmWorker works prewarming jobs.
type prewarmWorker struct {
	river.WorkerDefaults[prewarmArgs]
	queue *Queue
}

// Timeout bounds one attempt.
func (*prewarmWorker) Timeout(*river.Job[prewarmArgs]) time.Duration { return prewarmLimit }

// Work runs one attempt.
func (w *prewarmWorker) Work(ctx context.Context, job *river.Job[prewarmArgs]) error {
	p, ok := (*w.queue.worker.Load()).(Prewarmer)
	if !ok {
		return nil
	}
	err := p.RunPrewarm(ctx, job.Args.Version)
	if nixspace.ErrorCode(err) == "prewarm_yields" {
		if time.Since(job.CreatedAt) > prewarmAge {
			return river.JobCancel(err)
		}
		return river.JobSnooze(w.queue.cfg.PrewarmDelay)
	}
	return w.queue.outcome(ctx, err, "prewarm", job.Args.Version, job.Attempt)
}
