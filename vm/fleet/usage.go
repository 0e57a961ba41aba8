package fleet

import (
	"errors"
	"io/fs"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/runner"
)

var _ nixspace.MachineMeter = (*Local)(nil)

// MachineUsage implements [nixspace.MachineMeter].
func (l *Local) MachineUsage(session nixspace.ID) (nixspace.MachineUsage, error) {
	gone := nixspace.Errorf(nixspace.KindNotFound, "machine_not_found", "no machine of this session runs here")
	if !session.Valid() {
		return nixspace.MachineUsage{}, gone
	}
	state, err := runner.ReadState(l.sessionDir(session))
	if err == nil && state.VMM.PID == 0 {
		return nixspace.MachineUsage{}, gone
	}
	if err == nil {
		var u nixspace.MachineUsage
		if u.CPU, u.Memory, err = state.VMM.Usage(); err == nil {
			u.At = time.Now().UTC()
			return u, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nixspace.MachineUsage{}, gone
	}
	return nixspace.MachineUsage{}, err
}
