package app

import (
	"context"
	"errors"
	"sync"

	"github.com/nixspace/nixspace"
)

// errShutdown is the cause of a task's cancellation when the server stops.
var errShutdown = errors.New("the server is shutting down")

// errSuperseded is the cause when somebody asked for the work to stop.
var errSuperseded = errors.New("it was asked to stop")

// tasks owns the goroutines that outlive the request that started them.
type tasks struct {
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func newTasks() *tasks {
	ctx, cancel := context.WithCancel(context.Background())
	return &tasks{ctx: ctx, cancel: cancel}
}

// start runs fn with the values of ctx, without its end: fn's context ends with
// close, for cause errShutdown. It fails once close was called.
func (t *tasks) start(ctx context.Context, fn func(context.Context)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nixspace.Errorf(nixspace.KindUnavailable, "shutting_down", "the server is shutting down").
			WithHint("try again once it runs")
	}
	t.wg.Add(1)
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(t.ctx, func() { cancel(errShutdown) })
	go func() {
		defer t.wg.Done()
		defer cancel(nil)
		defer stop()
		fn(ctx)
	}()
	return nil
}

// close ends all tasks and waits for them.
func (t *tasks) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.wg.Wait()
}

// runSet knows which records this process works on, so that nothing is done
// twice at a time and what is under way can be stopped.
type runSet struct {
	mu   sync.Mutex
	runs map[nixspace.ID]*run
}

type run struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

func newRunSet() *runSet { return &runSet{runs: map[nixspace.ID]*run{}} }

// begin registers work on id and returns its context and its end. When there is
// such work already it returns that instead, with a nil end.
func (s *runSet) begin(ctx context.Context, id nixspace.ID) (context.Context, func(), *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runs[id]; r != nil {
		return nil, nil, r
	}
	ctx, cancel := context.WithCancelCause(ctx)
	r := &run{cancel: cancel, done: make(chan struct{})}
	s.runs[id] = r
	return ctx, func() {
		s.mu.Lock()
		delete(s.runs, id)
		s.mu.Unlock()
		cancel(nil)
		close(r.done)
	}, r
}

func (s *runSet) get(id nixspace.ID) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[id]
}

// stop cancels the work on id and waits until it ended, or ctx does.
func (s *runSet) stop(ctx context.Context, id nixspace.ID, cause error) {
	r := s.get(id)
	if r == nil {
		return
	}
	r.cancel(cause)
	select {
	case <-r.done:
	case <-ctx.Done():
	}
}
