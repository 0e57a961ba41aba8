// Package jobs runs durable work: what must happen although the server may be
// killed before it did. Jobs are rows in the database (River), inserted in the
// transaction that asks for them, worked by whichever server has a place free,
// and worked again when their server dies.
//
// Workers are thin. What a job does is a use case of package app.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/records"
)

const (
	queueBuild    = "build"
	buildAttempts = 3
	// buildLimit ends a build that hangs. It is long, because a big source
	// package on a small machine is.
	buildLimit = 6 * time.Hour
	// fetchCooldown bounds how often free workers ask for jobs. It is part of the
	// time between a change and its build, so it is shorter than River's own.
	fetchCooldown = 5 * time.Millisecond
)

// Worker does the work of jobs. [app.App] implements it.
type Worker interface {
	// RunBuild realises a build and records how it ended. It returns an error
	// only when that could not be done or recorded, and another try may help.
	// It can be called again after any failure or crash.
	RunBuild(ctx context.Context, build nixspace.ID) error
	// RunFetch fetches the code of a project, likewise.
	RunFetch(ctx context.Context, fetch nixspace.ID) error
	// RunPrebuild makes code ready, likewise.
	RunPrebuild(ctx context.Context, prebuild nixspace.ID) error
	// RunExperiment does what an experiment is about, likewise.
	RunExperiment(ctx context.Context, experiment nixspace.ID) error
}

// Config says how a queue works.
type Config struct {
	// Server names the server, the same each time it starts. Only one process at
	// a time may use the name: jobs that an earlier one of that name left are
	// taken to be abandoned.
	Server string
	// Builds is how many builds run at a time; 4 when 0.
	Builds int
	// CollectEvery is how often garbage is collected; never when 0.
	CollectEvery time.Duration
	// PrewarmDelay is how long templates wait after a build, and after a session that
	// came first: whoever waits for a build may start a session, which then makes the
	// template on its way. 5 seconds when 0.
	PrewarmDelay time.Duration
	Log          *slog.Logger
}

// Queue takes jobs and works them. It is safe for concurrent use.
type Queue struct {
	cfg      Config
	pool     *pgxpool.Pool
	client   *river.Client[pgx.Tx]
	worker   atomic.Pointer[Worker] // set by Start
	stopping atomic.Bool
}

var _ builds.Jobs = (*Queue)(nil)

// buildArgs are the arguments of a build job. The name of the field is in the
// database: it stays.
type buildArgs struct {
	Build nixspace.ID `json:"build_id"`
}

// Kind names the job in the database.
func (buildArgs) Kind() string { return "build" }

// InsertOpts makes one job of a build at a time.
func (buildArgs) InsertOpts() river.InsertOpts { return oneAtATime(queueBuild, buildAttempts) }

// oneAtATime are the options of jobs of which there is one at a time with the same
// arguments. Once it has ended there may be another.
func oneAtATime(queue string, attempts int) river.InsertOpts {
	return river.InsertOpts{
		Queue: queue, MaxAttempts: attempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
			rivertype.JobStateRunning, rivertype.JobStateScheduled,
		}},
	}
}

// New returns a queue over a database that [Migrate] has prepared. It takes jobs
// at once and works them after Start.
func New(pool *pgxpool.Pool, cfg Config) (*Queue, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Builds == 0 {
		cfg.Builds = 4
	}
	if cfg.PrewarmDelay == 0 {
		cfg.PrewarmDelay = prewarmDelay
	}
	q := &Queue{cfg: cfg, pool: pool}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &buildWorker{queue: q}); err != nil {
		return nil, fmt.Errorf("register the build worker: %w", err)
	}
	if err := river.AddWorkerSafely(workers, &sourceWorker{queue: q}); err != nil {
		return nil, fmt.Errorf("register the worker of fetches: %w", err)
	}
	if err := river.AddWorkerSafely(workers, &prebuildWorker{queue: q}); err != nil {
		return nil, fmt.Errorf("register the worker of prebuilds: %w", err)
	}
	if err := river.AddWorkerSafely(workers, &collectWorker{queue: q}); err != nil {
		return nil, fmt.Errorf("register the collector: %w", err)
	}
	if err := river.AddWorkerSafely(workers, &prewarmWorker{queue: q}); err != nil {
		return nil, fmt.Errorf("register the worker of templates: %w", err)
	}
	if err := river.AddWorkerSafely(workers, &experimentWorker{queue: q}); err != nil {
		return nil, fmt.Errorf("register the worker of experiments: %w", err)
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		ID:     cfg.Server + "/" + string(nixspace.NewID()),
		Logger: cfg.Log,
		Queues: map[string]river.QueueConfig{
			queueBuild: {MaxWorkers: cfg.Builds}, queueSource: {MaxWorkers: sourceWorkers},
			queuePrebuild: {MaxWorkers: prebuildWorkers}, queueCollect: {MaxWorkers: 1}, queuePrewarm: {MaxWorkers: 1},
			queueExperiment: {MaxWorkers: experimentWorkers},
		},
		PeriodicJobs:         q.periodic(),
		Workers:              workers,
		FetchCooldown:        fetchCooldown,
		RescueStuckJobsAfter: buildLimit + time.Hour,
		RetryPolicy:          retryPolicy{},
	})
	if err != nil {
		return nil, fmt.Errorf("set up the job queue: %w", err)
	}
	q.client = client
	return q, nil
}

// Rescue makes the jobs available again that an earlier process of this server
// was working when it died, and returns how many those were. River rescues by
// age alone, hours later. Call it before Start.
func (q *Queue) Rescue(ctx context.Context) (int64, error) {
	// attempted_by lists the clients that worked the job, the last one last. A
	// job that was asked to stop meanwhile is not tried again.
	tag, err := q.pool.Exec(ctx, `
		update river_job set
			state = case when metadata ? 'cancel_attempted_at' then 'cancelled' else 'available' end::river_job_state,
			finalized_at = case when metadata ? 'cancel_attempted_at' then now() end,
			max_attempts = greatest(max_attempts, attempt + 1),
			scheduled_at = now()
		where state = 'running' and starts_with(attempted_by[array_upper(attempted_by, 1)], $1 || '/')`, q.cfg.Server)
	if err != nil {
		return 0, fmt.Errorf("rescue interrupted jobs: %w", err)
	}
	return tag.RowsAffected(), nil
}

// Start begins to work jobs, until Stop.
func (q *Queue) Start(ctx context.Context, w Worker) error {
	q.worker.Store(&w)
	// River ends when the context does, and without grace; Stop does it better.
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the job queue: %w", err)
	}
	return nil
}

// Stop interrupts the running jobs, which start again with the next Start, and
// returns when they have ended. It may be called when Start was not.
func (q *Queue) Stop(ctx context.Context) error {
	q.stopping.Store(true)
	if q.worker.Load() == nil {
		return nil
	}
	if err := q.client.StopAndCancel(ctx); err != nil {
		return fmt.Errorf("stop the job queue: %w", err)
	}
	return nil
}

// EnqueueBuild implements builds.Jobs.
func (q *Queue) EnqueueBuild(ctx context.Context, tx records.Tx, build nixspace.ID) error {
	return q.enqueue(ctx, tx, buildArgs{build}, nil, "build", build)
}

// enqueue queues a job within a transaction, with other options than its own unless
// they are nil. What the job is about has a name and an ID.
func (q *Queue) enqueue(ctx context.Context, tx records.Tx, args river.JobArgs, opts *river.InsertOpts, what string, id nixspace.ID) error {
	t, ok := tx.(interface{ PgxTx() pgx.Tx })
	if !ok {
		return fmt.Errorf("queue %s %s: %T is no PostgreSQL transaction", what, id, tx)
	}
	var err error
	if p := t.PgxTx(); p != nil {
		_, err = q.client.InsertTx(ctx, p, args, opts)
	} else {
		_, err = q.client.Insert(ctx, args, opts)
	}
	if err != nil {
		return fmt.Errorf("queue %s %s: %w", what, id, err)
	}
	return nil
}

// CancelBuild implements builds.Jobs. A running job's context ends; the call does
// not wait for it. There may be nothing to cancel.
func (q *Queue) CancelBuild(ctx context.Context, build nixspace.ID) error {
	return q.cancel(ctx, buildArgs{}.Kind(), "build", build)
}

// cancel cancels the jobs of a kind whose argument WHAT_id is id.
func (q *Queue) cancel(ctx context.Context, kind, what string, id nixspace.ID) error {
	rows, err := q.pool.Query(ctx, `select id from river_job where kind = $1 and args @> jsonb_build_object($2::text, $3::text) and finalized_at is null`,
		kind, what+"_id", string(id))
	if err != nil {
		return fmt.Errorf("find the job of %s %s: %w", what, id, err)
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("find the job of %s %s: %w", what, id, err)
	}
	for _, job := range jobs {
		if _, err := q.client.JobCancel(ctx, job); err != nil && !errors.Is(err, river.ErrNotFound) {
			return fmt.Errorf("cancel %s %s: %w", what, id, err)
		}
	}
	return nil
}

// buildWorker works build jobs.
type buildWorker struct {
	river.WorkerDefaults[buildArgs]
	queue *Queue
}

// Timeout bounds one attempt.
func (*buildWorker) Timeout(*river.Job[buildArgs]) time.Duration { return buildLimit }

// Work runs one attempt.
func (w *buildWorker) Work(ctx context.Context, job *river.Job[buildArgs]) error {
	err := (*w.queue.worker.Load()).RunBuild(ctx, job.Args.Build)
	return w.queue.outcome(ctx, err, "build", job.Args.Build, job.Attempt)
}

// outcome is what the queue is told of one attempt that ended with err.
func (q *Queue) outcome(ctx context.Context, err error, what string, id nixspace.ID, attempt int) error {
	switch {
	case err == nil:
		return nil
	case q.stopping.Load() && ctx.Err() != nil:
		// A shutdown is not the work's fault: it costs no attempt.
		return river.JobSnooze(0)
	case ctx.Err() == nil && final(err):
		return river.JobCancel(err)
	}
	q.cfg.Log.Warn(what+" job failed", what, id, "attempt", attempt, "error", err)
	return err
}

// final reports whether another attempt would end the same way.
func final(err error) bool {
	switch nixspace.ErrorKind(err) {
	case nixspace.KindInternal, nixspace.KindUnavailable, nixspace.KindConflict:
		return false
	}
	return true
}

// retryPolicy waits 1 s, 5 s, 25 s… at most 5 min: somebody waits for a build.
type retryPolicy struct{}

// NextRetry implements river.ClientRetryPolicy.
func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	wait := time.Duration(math.Pow(5, float64(max(len(job.Errors), 0)))) * time.Second
	return time.Now().Add(min(wait, 5*time.Minute))
}
