package guest

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace/vm/wire"
)

// The agent's own folders.
const (
	diskDir  = "/data-disk" // where the session's disk is mounted
	logDir   = diskDir + "/log"
	stateDir = diskDir + "/state" // only the agent can write here
)

// NewProcess returns an agent that leaves the system around it alone: its folders
// lie under cfg.Root, and it mounts nothing and changes neither names nor clocks.
// [Agent.Close] ends it.
func NewProcess(cfg Config) (*Agent, error) {
	for _, dir := range []string{"/workspace", "/home/dev", "/data", logDir, stateDir} {
		if err := os.MkdirAll(cfg.Root+dir, 0o755); err != nil {
			return nil, err
		}
	}
	if cfg.Become {
		for _, dir := range []string{"/workspace", "/home/dev", "/data"} {
			if err := devDir(cfg.Root + dir); err != nil {
				return nil, err
			}
		}
	}
	if cfg.ReapAll {
		// So that what a command leaves behind is this process's to reap.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, os.NewSyscallError("become a subreaper", err)
		}
	}
	p := &process{}
	a := newAgent(cfg, p)
	p.agent = a
	a.journal.Keep(a.path(logDir))
	return a, nil
}

// RunProcess serves the protocol on a unix socket, one stream to a connection,
// until the host shuts the guest down or ctx ends.
func RunProcess(ctx context.Context, cfg Config, socket string) error {
	a, err := NewProcess(cfg)
	if err != nil {
		return err
	}
	defer a.Close()
	a.journal.Open("").Tee(os.Stderr)
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-a.Down():
		case <-ctx.Done():
		}
		_ = l.Close()
	}()
	a.Serve(ctx, l.Accept)
	return nil
}

// process is the system of an agent that must not touch it.
type process struct{ agent *Agent }

func (p *process) mount(wire.MountRequest) error       { return nil }
func (p *process) identify(wire.IdentityRequest) error { return nil }
func (p *process) prepare(wire.PrepareRequest) error   { return nil }

func (p *process) setTime(t time.Time) error {
	return errors.New("the clock is not this agent's to set: " + t.Format(time.RFC3339))
}

func (p *process) quiesce(context.Context) error {
	p.agent.procs.killAll()
	return nil
}
