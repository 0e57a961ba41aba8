package apitest

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
)

// MachineUsage is the same for every machine.
func (a *App) MachineUsage(ctx context.Context, session nixspace.ID) (nixspace.MachineUsage, error) {
	unlock, err := a.enter(ctx, "MachineUsage")
	if err != nil {
		return nixspace.MachineUsage{}, err
	}
	defer unlock()
	return nixspace.MachineUsage{CPU: 1500 * time.Millisecond, Memory: 300 << 20, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, nil
}
