package nix

// DaemonPID returns the process of the engine's own daemon.
func (e *Engine) DaemonPID() int {
	e.own.mu.Lock()
	defer e.own.mu.Unlock()
	return e.own.pid
}

// ForgetPaths empties the cache of path infos.
func (e *Engine) ForgetPaths() { e.paths = newPathCache() }

// Reconnect closes the connections to the daemon, and with them their temporary
// roots.
func (e *Engine) Reconnect() {
	_ = e.client.Close()
	e.client = e.newClient()
}
