package sessions

import (
	"context"

	"github.com/nixspace/nixspace"
)

// MachineUsage measures what the machine of a session takes of its host. That is
// no activity in the session. It fails with kind not_found where no machine runs,
// or none that can be measured.
func (a *UseCases) MachineUsage(ctx context.Context, session nixspace.ID) (nixspace.MachineUsage, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nixspace.MachineUsage{}, err
	}
	meter, ok := a.machines.(nixspace.MachineMeter)
	if !ok {
		return nixspace.MachineUsage{}, nixspace.Errorf(nixspace.KindNotFound, "machine_not_found", "machines are not measured here")
	}
	return meter.MachineUsage(session)
}
