package nix

// DaemonPID returns the process of the engine's own daemon.
func (e *Engine) DaemonPID() int {
	e.own.mu.Lock()
	defer e.own.mu.Unlock()
	return e.own.pid
}
