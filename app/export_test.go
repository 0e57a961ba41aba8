package app

import (
	"context"
	"time"
)

// Sweep is what App.Run does from time to time, at a time of the test's choice.
func Sweep(a *App, ctx context.Context, now time.Time) error { return a.sweep(ctx, now) }
