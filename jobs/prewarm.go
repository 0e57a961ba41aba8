package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

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
	t, ok := tx.(interface{ PgxTx() pgx.Tx })
	if !ok {
		return fmt.Errorf("queue the template of version %s: %T is no PostgreSQL transaction", version, tx)
	}
	opts := &river.InsertOpts{
		Queue: queuePrewarm, MaxAttempts: 2, ScheduledAt: time.Now().Add(q.cfg.PrewarmDelay),
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
			rivertype.JobStateRunning, rivertype.JobStateScheduled,
		}},
	}
	var err error
	if p := t.PgxTx(); p != nil {
		_, err = q.client.InsertTx(ctx, p, prewarmArgs{version}, opts)
	} else {
		_, err = q.client.Insert(ctx, prewarmArgs{version}, opts)
	}
	if err != nil {
		return fmt.Errorf("queue the template of version %s: %w", version, err)
	}
	return nil
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
