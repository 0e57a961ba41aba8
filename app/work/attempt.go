package work

import (
	"context"
	"errors"
	"fmt"

	"github.com/nixspace/nixspace"
)

// Attempt is one try at durable work that has a record: queued, running, and then
// final.
type Attempt struct {
	What string // the work is, for its error: "build"
	// Claim finds the record and says that it runs. It returns false where there is
	// nothing to do any more.
	Claim func(context.Context) (bool, error)
	// Do does the work. Its context ends when the work is stopped.
	Do func(context.Context) error
	// Requeue records that the work was interrupted, and is to be tried again.
	Requeue func(context.Context) error
	// Finish records how the work ended: well, or with the error of Do.
	Finish func(ctx context.Context, err error) error
}

// Run tries the work of an ID. Where a try of it is under way it waits for that. An
// error means that the outcome could not be recorded, or that ctx ended, and that the
// work is to be tried again. Work that was stopped with [ErrSuperseded] is recorded by
// whoever stopped it.
func (s *RunSet) Run(ctx context.Context, id nixspace.ID, a Attempt) error {
	running, end, other := s.Begin(ctx, id)
	if end == nil {
		select {
		case <-other.Done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer end()
	if claimed, err := a.Claim(running); err != nil || !claimed {
		return err
	}
	err := a.Do(running)
	// What comes now must be recorded also when ctx has ended.
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), RecordLimit)
	defer cancel()
	if err == nil || running.Err() == nil {
		return a.Finish(record, err)
	}
	if errors.Is(context.Cause(running), ErrSuperseded) {
		return nil
	}
	if err := a.Requeue(record); err != nil {
		return err
	}
	return fmt.Errorf("%s %s was interrupted: %w", a.What, id, context.Cause(running))
}
