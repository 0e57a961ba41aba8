package sessions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
	"github.com/nixspace/nixspace/env/closure"
	"github.com/nixspace/nixspace/env/manifest"
)

// launch starts the machine of a session that is creating, in a task of its own.
func (a *UseCases) launch(ctx context.Context, s *nixspace.Session) error {
	started := *s
	calm := a.urgency.urgently()
	err := a.tasks.Start(ctx, func(task context.Context) {
		defer calm()
		ctx, end, other := a.starting.Begin(task, started.ID)
		if end == nil {
			// The last generation is just ending; this one must not be lost.
			<-other.Done
			if ctx, end, _ = a.starting.Begin(task, started.ID); end == nil {
				return
			}
		}
		defer end()
		defer a.progress.Forget(started.ID)
		a.bring(ctx, &started)
	})
	if err != nil {
		calm()
		a.failStart(ctx, s, "the server is shutting down", "interrupted")
	}
	return err
}

// bring takes a session from creating to running, or to failed with a reason.
func (a *UseCases) bring(ctx context.Context, s *nixspace.Session) {
	status, err := a.startMachine(ctx, s)
	if err == nil {
		a.reports.put(status)
		_, err = a.record(ctx, nixspace.SessionChange{
			ID: s.ID, Generation: s.Generation, From: []nixspace.SessionStatus{nixspace.SessionCreating}, To: nixspace.SessionRunning,
			VMID: status.VMID, Driver: status.Driver, Isolation: status.Isolation,
		})
		if err == nil {
			record, cancel := context.WithTimeout(context.WithoutCancel(ctx), work.RecordLimit)
			defer cancel()
			a.progress.Poke(s.ID)
			if s.NeedsSnapshot != "" && !s.Throwaway {
				a.collectSnapshots(record)
			}
			// It may have ended just now, while its reports were left to us.
			if m := a.reports.get(s.ID); m != nil && m.Generation == s.Generation && hasEnded(m.Status) {
				a.applyEnd(record, *m)
			}
			return
		}
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, work.ErrSuperseded):
		return // whoever stopped it ends the machine and records that
	case errors.Is(cause, errTooLong):
		a.failStart(ctx, s, "it took too long to start", "start_timeout")
	case errors.Is(cause, work.ErrShutdown):
		a.failStart(ctx, s, "the server was stopped while it was starting", "interrupted")
	default:
		text, code := work.Explain(a.log, "a session did not start", err)
		a.failStart(ctx, s, text, code)
	}
}

// startMachine builds what a session needs, where that was not done, and runs
// its machine.
func (a *UseCases) startMachine(ctx context.Context, s *nixspace.Session) (nixspace.MachineStatus, error) {
	report := nixspace.ProgressFunc(func(p nixspace.Progress) {
		if p.Log == "" {
			a.progress.Publish(s.ID, p)
		}
	})
	tx := a.records.Store.Read()
	v, err := records.OneVersion(ctx, tx, s.EnvironmentVersionID)
	if err != nil {
		return nixspace.MachineStatus{}, err
	}
	if err := a.ensureBuilt(ctx, tx, v, report); err != nil {
		return nixspace.MachineStatus{}, err
	}
	spec, err := a.machineSpec(ctx, tx, s, v, report)
	if err != nil {
		return nixspace.MachineStatus{}, err
	}
	start, cancel := context.WithTimeoutCause(ctx, startLimit, errTooLong)
	defer cancel()
	m, err := a.machines.Start(start, *spec, report)
	if err != nil {
		if ctx.Err() == nil && start.Err() != nil {
			err = nixspace.Errorf(nixspace.KindUnavailable, "start_timeout", "its machine did not start within %s: %w", startLimit, err)
		}
		return nixspace.MachineStatus{}, err
	}
	if err := a.refresh(start, s, m); err != nil {
		return nixspace.MachineStatus{}, errors.Join(err, m.Stop(start))
	}
	status, err := m.Status(ctx)
	if err == nil && status.Generation != s.Generation {
		err = fmt.Errorf("machine of session %s has generation %d, not %d", s.ID, status.Generation, s.Generation)
	}
	return status, err
}

// errTooLong is the cause when a time limit of a transient state has passed.
var errTooLong = errors.New("it took too long")

// ensureBuilt builds a version unless the store has it, and passes the build's
// progress on.
func (a *UseCases) ensureBuilt(ctx context.Context, tx records.Tx, v *nixspace.Version, report nixspace.ProgressFunc) error {
	if _, err := a.builds.Realised(ctx, tx, v); err == nil || !records.NotFound(err) {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, buildLimit, errTooLong)
	defer cancel()
	b, err := a.builds.BuildVersion(ctx, tx, v)
	if err != nil {
		return err
	}
	updates, err := a.builds.WatchBuild(ctx, b.ID)
	if err != nil {
		return err
	}
	for u := range updates {
		if u.Progress != nil {
			report.Report(*u.Progress)
		}
		if u.Build != nil {
			b = u.Build
		}
	}
	switch {
	case b.Status == nixspace.BuildSucceeded:
		return nil
	case b.Status.Final():
		return nixspace.Errorf(nixspace.KindBuild, "build_"+string(b.Status), "its environment could not be built: %s", b.Error).
			WithDetail("build", b.ID)
	case ctx.Err() != nil:
		return nixspace.Errorf(nixspace.KindBuild, "build_timeout", "its environment is not built yet: %w", context.Cause(ctx))
	default:
		return nixspace.Errorf(nixspace.KindUnavailable, "build_lost", "the build of its environment cannot be followed").
			WithHint("start the session again")
	}
}

// machineSpec says what machine a session needs.
func (a *UseCases) machineSpec(ctx context.Context, tx records.Tx, s *nixspace.Session, v *nixspace.Version, report nixspace.ProgressFunc) (*nixspace.MachineSpec, error) {
	c, err := records.Canonical(v)
	if err != nil {
		return nil, err
	}
	base := c.Base
	if err := a.builds.EnsureBase(ctx, base, report); err != nil {
		return nil, err
	}
	env, err := records.OneEnvironment(ctx, tx, s.EnvironmentID)
	if err != nil {
		return nil, err
	}
	code, err := tx.Code().Of(ctx, env.ID)
	if err != nil {
		return nil, err
	}
	infos, err := a.packages.Closure(ctx, v.OutPath, base)
	if err != nil {
		return nil, err
	}
	needs, err := machineNeeds(v, c)
	if err != nil {
		return nil, err
	}
	spec := &nixspace.MachineSpec{
		SessionID: s.ID, Generation: s.Generation, Hostname: hostname(env.Name, s.Number),
		CPUs: needs.cpus, MemoryMiB: needs.memoryMiB, DiskMiB: needs.diskMiB,
		Base: base, Environment: v.OutPath, Env: needs.env, Services: needs.services, Egress: needs.egress,
		Resume: s.Resuming, Throwaway: s.Throwaway, Ephemeral: s.Ephemeral,
	}
	if !s.Resuming {
		spec.Services = a.builds.Seed(ctx, c, spec.Services, report)
	}
	if spec.Layers, err = layers(infos, c, v.OutPath); err != nil {
		return nil, err
	}
	if s.NeedsSnapshot != "" {
		spec.Snapshot, spec.DiskOnly = s.NeedsSnapshot, s.DiskOnly
	}
	if code.Workspace != "" {
		if spec.Workspace, err = a.workspaces.Path(code.Workspace); err != nil {
			return nil, err
		}
	}
	return spec, nil
}

// maxLayers is how many store images a machine mounts at most.
const maxLayers = 12

// layers divides the closure of an environment and its base system into images.
func layers(infos []nixspace.PathInfo, c manifest.Canonical, environment string) ([]nixspace.StoreLayer, error) {
	g, err := closure.New(infos)
	if err != nil {
		return nil, err
	}
	packages := make([]closure.Package, 0, len(c.Packages))
	for _, attr := range c.Attrs() {
		packages = append(packages, closure.Package{Attr: attr, OutPath: c.Packages[attr].Path})
	}
	for name, p := range c.Flake.Named() {
		if !slices.ContainsFunc(packages, func(q closure.Package) bool { return q.OutPath == p.Path }) {
			packages = append(packages, closure.Package{Attr: "flake." + name, OutPath: p.Path})
		}
	}
	slices.SortFunc(packages, func(a, b closure.Package) int { return strings.Compare(a.Attr, b.Attr) })
	return closure.Layers(g, c.Base, packages, environment, maxLayers)
}

// hostname is the name of a session's machine: that of the environment, as far
// as a host name may have it (letters, digits and hyphens), and the number.
func hostname(env string, number int) string {
	b := []byte(env)
	for i, c := range b {
		if c == '.' || c == '_' {
			b[i] = '-'
		}
	}
	suffix := fmt.Sprintf("-%d", number)
	return string(b[:min(len(b), 63-len(suffix))]) + suffix
}
