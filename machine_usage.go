package nixspace

import "time"

// MachineUsage is what a running machine takes of its host.
type MachineUsage struct {
	// CPU is the processor time that its process has used since it came up.
	CPU time.Duration
	// Memory is how much of the host's memory its process holds now, in bytes. What
	// it shares with other machines counts for each.
	Memory int64
	At     time.Time // when it was measured
}

// CPUSeconds is the processor time in seconds.
func (u MachineUsage) CPUSeconds() float64 { return u.CPU.Seconds() }

// MachineMeter is what [Machines] can do besides, where the host can tell. Asking
// is no activity in the session.
type MachineMeter interface {
	// MachineUsage measures the machine of a session. It fails with kind
	// [KindNotFound] where none runs.
	MachineUsage(session ID) (MachineUsage, error)
}
