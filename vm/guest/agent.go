// Package guest is what the agent in a machine does: it runs commands, keeps
// services alive, moves files and reports logs, as the protocol of package wire
// says. As the first process of a microVM it also mounts, configures and ends the
// whole guest ([RunMachine]); in an ordinary process ([RunProcess]) it serves the
// same protocol without touching the system, for drivers that isolate by other
// means and for tests.
package guest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/journal"
	"github.com/nixspace/nixspace/vm/guest/relay"
	"github.com/nixspace/nixspace/vm/guest/wayout"
	"github.com/nixspace/nixspace/vm/wire"
)

// Config says how an agent stands in its system.
type Config struct {
	// Root is put before the paths of the agent's own folders (/workspace,
	// /home/dev, /data and its disk). Empty in a machine.
	Root string
	// Become makes programs and file transfers run as the user dev; without it
	// they run as whoever runs the agent.
	Become bool
	// ReapAll makes the agent reap every child of its process, those included
	// that it inherits. It must be the only part of its process that waits for
	// children. It is for a process that is the first one, or a subreaper.
	ReapAll bool
}

// The user that everything in a guest runs as.
const (
	devUID  = 1000
	devGID  = 1000
	devName = "dev"
)

// system is what the agent can do to the system around it.
type system interface {
	mount(wire.MountRequest) error
	identify(wire.IdentityRequest) error
	prepare(wire.PrepareRequest) error
	setTime(time.Time) error
	// quiesce ends every process that is left, writes everything to the disk and
	// unmounts it.
	quiesce(context.Context) error
}

// Agent serves the protocol. Its methods are safe for concurrent use.
type Agent struct {
	cfg      Config
	system   system
	started  time.Time
	journal  *journal.Journal
	log      *slog.Logger
	procs    *procs
	services *supervisor
	ptys     *ptys
	exit     *wayout.Proxy

	mu       sync.Mutex
	epoch    uint64
	prepared wire.PrepareRequest

	configuring sync.Mutex // one stage at a time

	quiesceOnce sync.Once
	quiesceErr  error
	down        chan struct{} // closed when the host was told that the guest ends
	downOnce    sync.Once
}

func newAgent(cfg Config, sys system) *Agent {
	a := &Agent{cfg: cfg, system: sys, started: time.Now(), down: make(chan struct{})}
	a.journal = journal.New()
	a.log = slog.New(slog.NewTextHandler(a.journal.Open(""), nil))
	a.exit = wayout.New(a.log)
	a.procs = newProcs(cfg.ReapAll)
	a.services = newSupervisor(a)
	a.ptys = newPtys(a)
	return a
}

// Down is closed when the guest was shut down and should power off.
func (a *Agent) Down() <-chan struct{} { return a.down }

// Close ends the services without mercy and waits until nothing of the agent is
// left but open streams, which end with their connections.
func (a *Agent) Close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a.services.stop(ctx)
	a.exit.Close()
	a.procs.close()
	a.ptys.close()
	a.journal.Close()
}

// Serve serves the streams that accept returns, until it fails, and returns once
// they have all ended. Nothing of a stream outlives ctx or its connection.
func (a *Agent) Serve(ctx context.Context, accept func() (net.Conn, error)) {
	ctx, cancel := context.WithCancel(ctx)
	var streams sync.WaitGroup
	defer streams.Wait()
	defer cancel()
	for {
		conn, err := accept()
		if err != nil {
			return
		}
		streams.Go(func() {
			stop := context.AfterFunc(ctx, func() { relay.Cut(conn) })
			defer stop()
			defer func() { _ = conn.Close() }()
			defer func() {
				// The first process of a machine must not end: a defect costs a
				// stream, not the machine.
				if r := recover(); r != nil {
					a.log.Error("panic in a stream", "panic", r, "stack", string(debug.Stack()))
				}
			}()
			a.handle(ctx, conn)
		})
	}
}

func (a *Agent) handle(ctx context.Context, conn net.Conn) {
	h, err := wire.Accept(conn)
	if err != nil {
		return
	}
	switch h.Service {
	case wire.ServiceExec:
		serve(a, conn, h, a.exec)
	case wire.ServiceTerminal:
		serve(a, conn, h, a.terminal)
	case wire.ServiceHangUp:
		serve(a, conn, h, a.ptys.hangUp)
	case wire.ServiceView:
		a.failed(conn, h, a.view(ctx, conn))
	case wire.ServiceDial:
		serve(a, conn, h, a.dial)
	case wire.ServicePut:
		serve(a, conn, h, a.put)
	case wire.ServiceGet:
		serve(a, conn, h, a.get)
	case wire.ServiceLogs:
		serve(a, conn, h, func(conn net.Conn, r wire.LogsRequest) error { return a.logs(ctx, conn, r) })
	case wire.ServiceStart:
		serve(a, conn, h, func(conn net.Conn, r wire.StartRequest) error { return a.startServices(ctx, conn, r) })
	case wire.ServiceControl:
		serve(a, conn, h, func(conn net.Conn, r wire.ControlRequest) error { return a.controlService(ctx, conn, r) })
	case wire.ServiceWatch:
		a.failed(conn, h, a.watchServices(ctx, conn))
	case wire.ServiceEgress:
		a.failed(conn, h, a.exit.Accept(ctx, conn))
	case wire.ServiceShutdown:
		serve(a, conn, h, a.shutdown)
	case wire.ServicePing:
		a.mu.Lock()
		p := wire.Pong{Version: wire.Version, Epoch: a.epoch, Uptime: time.Since(a.started)}
		a.mu.Unlock()
		_ = wire.Reply(conn, p)
	case wire.ServiceMount:
		answer(a, conn, h, a.system.mount)
	case wire.ServiceIdentity:
		answer(a, conn, h, a.identify)
	case wire.ServicePrepare:
		answer(a, conn, h, a.prepare)
	case wire.ServiceSync:
		serve(a, conn, h, func(conn net.Conn, _ struct{}) error {
			if err := a.sync(); err != nil {
				return err
			}
			return wire.Reply(conn, nil)
		})
	case wire.ServiceTime:
		serve(a, conn, h, a.time)
	case wire.ServiceList:
		serve(a, conn, h, a.list)
	case wire.ServiceStat:
		serve(a, conn, h, a.stat)
	default:
		a.failed(conn, h, nixspace.Errorf(nixspace.KindInvalid, "service_unknown", "the guest has no service %q", h.Service))
	}
}

// serve decodes a request and serves it. The error that f returns is one that
// the host has not been told: f returns it only before it has replied.
func serve[R any](a *Agent, conn net.Conn, h wire.Header, f func(net.Conn, R) error) {
	var r R
	err := h.Decode(&r)
	if err == nil {
		err = f(conn, r)
	}
	a.failed(conn, h, err)
}

// answer serves a stage of the configuration: one at a time, with a plain answer.
func answer[R any](a *Agent, conn net.Conn, h wire.Header, f func(R) error) {
	serve(a, conn, h, func(conn net.Conn, r R) error {
		a.configuring.Lock()
		defer a.configuring.Unlock()
		started := time.Now()
		if err := f(r); err != nil {
			return err
		}
		a.log.Info("configured", "stage", h.Service, "took", time.Since(started).Round(time.Millisecond))
		return wire.Reply(conn, nil)
	})
}

func (a *Agent) failed(conn net.Conn, h wire.Header, err error) {
	if err == nil {
		return
	}
	var known *nixspace.Error
	if !errors.As(err, &known) {
		a.log.Error("request failed", "service", h.Service, "error", err)
	}
	_ = wire.Fail(conn, err)
}

func (a *Agent) identify(r wire.IdentityRequest) error {
	if err := a.system.identify(r); err != nil {
		return err
	}
	a.mu.Lock()
	a.epoch = r.Epoch
	a.mu.Unlock()
	if r.Restored {
		return a.restored()
	}
	return nil
}

func (a *Agent) prepare(r wire.PrepareRequest) error {
	if err := checkEnv(r.Env); err != nil {
		return err
	}
	a.mu.Lock()
	before := a.prepared
	a.prepared = r
	a.mu.Unlock()
	if err := a.exit.Listen(r.Proxy); err != nil {
		return err
	}
	if err := a.system.prepare(r); err != nil {
		a.mu.Lock()
		a.prepared = before
		a.mu.Unlock()
		return err
	}
	return nil
}

func (a *Agent) time(conn net.Conn, r wire.TimeRequest) error {
	if r.UnixNano != 0 {
		if err := a.system.setTime(time.Unix(0, r.UnixNano)); err != nil {
			return err
		}
	}
	return wire.Reply(conn, wire.TimeAnswer{UnixNano: time.Now().UnixNano()})
}

// shutdown ends the guest. It replies at once, so that the host can tell a guest
// that takes its time from one that does not listen.
func (a *Agent) shutdown(conn net.Conn, r wire.ShutdownRequest) error {
	if r.Timeout <= 0 {
		r.Timeout = 20 * time.Second
	}
	if err := wire.Reply(conn, nil); err != nil {
		a.log.Warn("the host does not wait for the shutdown", "error", err)
	}
	a.quiesceOnce.Do(func() {
		a.log.Info("shutting down")
		ctx, cancel := context.WithTimeout(context.Background(), r.Timeout)
		defer cancel()
		a.services.stop(ctx)
		if a.quiesceErr = a.system.quiesce(ctx); a.quiesceErr != nil {
			a.log.Error("shut down", "error", a.quiesceErr)
		}
	})
	w := wire.NewFrameWriter(conn)
	if a.quiesceErr != nil {
		_ = w.WriteJSON(wire.FrameError, wire.EncodeError(a.quiesceErr))
	} else {
		_ = w.WriteJSON(wire.FrameResult, struct{}{})
	}
	a.downOnce.Do(func() { close(a.down) })
	return nil
}
