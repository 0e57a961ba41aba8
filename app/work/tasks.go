// Package work holds the goroutines that use cases start, and what they tell those
// who wait for them.
package work

import (
	"context"
	"errors"
	"sync"

	"github.com/nixspace/nixspace"
)

// ErrShutdown is the cause of a task's cancellation when the server stops.
var ErrShutdown = errors.New("the server is shutting down")

// ErrSuperseded is the cause when somebody asked for the work to stop.
var ErrSuperseded = errors.New("it was asked to stop")

// Tasks owns the goroutines that outlive the request that started them.
type Tasks struct {
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// NewTasks returns tasks of which none runs yet.
func NewTasks() *Tasks {
	ctx, cancel := context.WithCancel(context.Background())
	return &Tasks{ctx: ctx, cancel: cancel}
}

// Start runs fn with the values of ctx, without its end and without the bounds of
// its actor's access: who asked was allowed to. fn's context ends with close, for
// cause errShutdown. It fails once close was called.
func (t *Tasks) Start(ctx context.Context, fn func(context.Context)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nixspace.Errorf(nixspace.KindUnavailable, "shutting_down", "the server is shutting down").
			WithHint("try again once it runs")
	}
	t.wg.Add(1)
	ctx, cancel := context.WithCancelCause(nixspace.WithAccess(context.WithoutCancel(ctx), nil))
	stop := context.AfterFunc(t.ctx, func() { cancel(ErrShutdown) })
	go func() {
		defer t.wg.Done()
		defer cancel(nil)
		defer stop()
		fn(ctx)
	}()
	return nil
}

// Close ends all tasks and waits for them.
func (t *Tasks) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.wg.Wait()
}

// RunSet knows which records this process works on, so that nothing is done
// twice at a time and what is under way can be stopped.
type RunSet struct {
	mu   sync.Mutex
	runs map[nixspace.ID]*Run
}

// Run is work on one record that is under way.
type Run struct {
	cancel context.CancelCauseFunc
	Done   chan struct{} // closed when it has ended
}

// NewRunSet returns a set in which nothing runs.
func NewRunSet() *RunSet { return &RunSet{runs: map[nixspace.ID]*Run{}} }

// Begin registers work on id and returns its context and its end. When there is
// such work already it returns that instead, with a nil context and a nil end.
func (s *RunSet) Begin(ctx context.Context, id nixspace.ID) (context.Context, func(), *Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runs[id]; r != nil {
		return nil, nil, r
	}
	ctx, cancel := context.WithCancelCause(ctx)
	r := &Run{cancel: cancel, Done: make(chan struct{})}
	s.runs[id] = r
	return ctx, func() {
		s.mu.Lock()
		delete(s.runs, id)
		s.mu.Unlock()
		cancel(nil)
		close(r.Done)
	}, r
}

// Get returns what runs under an ID, or nil.
func (s *RunSet) Get(id nixspace.ID) *Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[id]
}

// Stop cancels the work on id and waits until it ended, or ctx does.
func (s *RunSet) Stop(ctx context.Context, id nixspace.ID, cause error) {
	r := s.Get(id)
	if r == nil {
		return
	}
	r.cancel(cause)
	select {
	case <-r.Done:
	case <-ctx.Done():
	}
}
