package server

import (
	"context"
	"errors"
	"time"

	"github.com/nixspace/nixspace"
)

// pinPatience is how long a start waits for the package source to ask whether
// what it pins is still offered. On a machine that reaches its mirror that takes
// a few seconds, once a day.
const pinPatience = 15 * time.Second

// pinChecker is a package source that can look after its pins.
type pinChecker interface {
	Check(context.Context, nixspace.ProgressFunc) error
}

// checkPins lets the package source replace pins that are no longer offered,
// before anybody makes an environment of them. It returns when that is done or
// when patience ends; the rest goes on in the background. A failure is no reason
// not to start: what is here works without a network. The returned function ends
// the check and waits for its end.
func checkPins(ctx context.Context, source pinChecker, patience time.Duration, s Site) (stop func()) {
	check, end := context.WithCancel(context.WithoutCancel(ctx))
	unlink := context.AfterFunc(ctx, end)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := source.Check(check, s.Progress)
		if err != nil && !errors.Is(err, context.Canceled) {
			s.Log.Warn("cannot ask whether what the catalog pins is still offered; it is asked again when packages are fetched", "error", err)
		}
	}()
	patient := time.NewTimer(patience)
	defer patient.Stop()
	select {
	case <-done:
	case <-ctx.Done():
	case <-patient.C:
		s.Log.Info("whether what the catalog pins is still offered takes long to find out; the start goes on meanwhile")
	}
	return func() {
		unlink()
		end()
		<-done
	}
}
