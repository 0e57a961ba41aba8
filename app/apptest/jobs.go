package apptest

import (
	"context"
	"slices"
	"sync"

	"github.com/nixspace/nixspace"
)

// Jobs is a queue that remembers what was put into it and runs nothing by
// itself: take from it with Take. As with the real one, work that was queued in
// a transaction is there once that has committed, and never if it failed; for
// this the transactions must run through [Jobs.Over].
type Jobs struct {
	mu       sync.Mutex
	pending  map[nixspace.Tx][]nixspace.ID
	queued   []nixspace.ID
	canceled []nixspace.ID
	wake     chan struct{}

	experiments ExperimentJobs
}

// Over returns the database db, whose transactions queue work in j.
func (j *Jobs) Over(db nixspace.Database) nixspace.Database { return &queueing{Database: db, jobs: j} }

type queueing struct {
	nixspace.Database
	jobs *Jobs
}

// Reachable implements nixspace.ReachableStore, where the database does.
func (q *queueing) Reachable(ctx context.Context) (*nixspace.Reachable, error) {
	return q.Database.(nixspace.ReachableStore).Reachable(ctx)
}

// InTx implements nixspace.Database.
func (q *queueing) InTx(ctx context.Context, fn func(nixspace.Tx) error) error {
	var last nixspace.Tx // that of the last try, which is the one that committed
	err := q.Database.InTx(ctx, func(tx nixspace.Tx) error {
		q.jobs.settle(last, false)
		last = tx
		return fn(tx)
	})
	q.jobs.settle(last, err == nil)
	return err
}

// settle queues what was put into a transaction, or forgets it.
func (j *Jobs) settle(tx nixspace.Tx, committed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	added := j.pending[tx]
	delete(j.pending, tx)
	if !committed || len(added) == 0 {
		return
	}
	for _, id := range added {
		if !slices.Contains(j.queued, id) {
			j.queued = append(j.queued, id)
		}
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Wake returns a channel on which something comes after builds were queued.
func (j *Jobs) Wake() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.wake == nil {
		j.wake = make(chan struct{}, 1)
	}
	return j.wake
}

// EnqueueBuild implements app.Jobs.
func (j *Jobs) EnqueueBuild(_ context.Context, tx nixspace.Tx, build nixspace.ID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pending == nil {
		j.pending = map[nixspace.Tx][]nixspace.ID{}
	}
	j.pending[tx] = append(j.pending[tx], build)
	return nil
}

// CancelBuild implements app.Jobs.
func (j *Jobs) CancelBuild(_ context.Context, build nixspace.ID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.canceled = append(j.canceled, build)
	return nil
}

// Take returns what is queued, and empties the queue.
func (j *Jobs) Take() []nixspace.ID {
	j.mu.Lock()
	defer j.mu.Unlock()
	q := j.queued
	j.queued = nil
	return q
}

// Canceled returns the builds whose jobs were cancelled.
func (j *Jobs) Canceled() []nixspace.ID {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.canceled)
}
