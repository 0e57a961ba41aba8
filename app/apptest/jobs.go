package apptest

import (
	"context"
	"slices"
	"sync"

	"github.com/nixspace/nixspace"
)

// Jobs is a queue that remembers what was put into it and runs nothing by
// itself: take from it with Take. Unlike the real one it does not forget what
// was queued in a transaction that failed.
type Jobs struct {
	mu       sync.Mutex
	queued   []nixspace.ID
	canceled []nixspace.ID
	wake     chan struct{}
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
func (j *Jobs) EnqueueBuild(_ context.Context, _ nixspace.Tx, build nixspace.ID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Contains(j.queued, build) {
		j.queued = append(j.queued, build)
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
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
