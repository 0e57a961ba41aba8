package work_test

import (
	"context"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/work"
)

// Who finds something under way waits for its end, and then begins with the context
// that it came with.
func TestRunSet(t *testing.T) {
	s, id := work.NewRunSet(), nixspace.NewID()
	first, end, run := s.Begin(t.Context(), id)
	if end == nil || s.Get(id) != run {
		t.Fatal("nothing was begun")
	}
	if ctx, again, other := s.Begin(t.Context(), id); ctx != nil || again != nil || other != run {
		t.Fatal("it was begun twice")
	}
	stopped := make(chan struct{})
	go func() {
		s.Stop(context.Background(), id, work.ErrSuperseded)
		close(stopped)
	}()
	<-first.Done()
	if context.Cause(first) != work.ErrSuperseded {
		t.Errorf("the cause is %v", context.Cause(first))
	}
	end()
	<-stopped
	<-run.Done
	if _, end, _ := s.Begin(t.Context(), id); end == nil {
		t.Error("it is still under way")
	} else {
		end()
	}
}
