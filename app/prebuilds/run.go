package prebuilds

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// RunPrebuild does the work of a queued prebuild. It is what the job calls, and like
// RunBuild it can be called again: an error means that the outcome could not be
// recorded, or that ctx ended.
func (u *UseCases) RunPrebuild(ctx context.Context, id nixspace.ID) error {
	ctx = nixspace.AsSystem(ctx)
	tx := u.cfg.Records.Store.Read()
	var p *nixspace.Prebuild
	var snap *nixspace.Snapshot
	return u.running.Run(ctx, id, work.Attempt{
		What: "prebuild",
		Claim: func(ctx context.Context) (_ bool, err error) {
			p, err = tx.Prebuilds().ByID(ctx, id)
			switch {
			case records.NotFound(err):
				return false, nil
			case err != nil || p.Status != nixspace.BuildQueued:
				return err == nil && !p.Status.Final(), err
			}
			p.Status, p.StartedAt = nixspace.BuildRunning, records.Now()
			return tx.Prebuilds().Transition(ctx, p, nixspace.BuildQueued)
		},
		Do: func(ctx context.Context) error {
			defer u.cfg.Progress.Forget(id)
			return work.Logged(ctx, tx.Prebuilds(), id, u.cfg.Log, func(log *work.Log) (err error) {
				snap, err = u.prepare(ctx, p, log)
				return err
			})
		},
		Requeue: func(ctx context.Context) error {
			p.Status, p.StartedAt = nixspace.BuildQueued, time.Time{}
			_, err := tx.Prebuilds().Transition(ctx, p, nixspace.BuildRunning)
			return err
		},
		Finish: func(ctx context.Context, err error) error {
			if err != nil {
				p.Error, p.ErrorCode = work.Explain(u.cfg.Log, "prebuild "+string(id), err)
			}
			return u.finish(ctx, p, snap)
		},
	})
}

// finish records how a prebuild ended: with a snapshot, or with the error in p.
func (u *UseCases) finish(ctx context.Context, p *nixspace.Prebuild, snap *nixspace.Snapshot) error {
	p.FinishedAt, p.Status = records.Now(), nixspace.BuildSucceeded
	what, message := "succeeded", "its setup is prepared"
	if snap == nil {
		p.Status = nixspace.BuildFailed
		what, message = "failed", "its setup failed: "+records.FirstLine(p.Error)
	}
	err := u.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		if snap != nil {
			p.Snapshot = snap.ID
			if err := tx.Snapshots().Update(ctx, snap); err != nil {
				return err
			}
		}
		moved, err := tx.Prebuilds().Transition(ctx, p, nixspace.BuildRunning)
		if err != nil || !moved {
			return err
		}
		if snap != nil {
			if err := replace(ctx, tx, p); err != nil {
				return err
			}
		}
		return event(ctx, tx, actor, p, what, message)
	})
	u.machines.CollectSnapshots(ctx) // what was replaced, or came to nothing
	return err
}

// replace deletes the prebuilds that a good one takes the place of: older ones of its
// key, and all but the last of its environment.
func replace(ctx context.Context, tx records.Tx, p *nixspace.Prebuild) error {
	all, err := tx.Prebuilds().List(ctx, nixspace.PrebuildFilter{Environment: p.EnvironmentID})
	if err != nil {
		return err
	}
	good := 0
	for _, old := range all {
		if old.Status != nixspace.BuildSucceeded {
			continue
		}
		if good++; old.ID == p.ID || good <= keepGood && old.Key != p.Key {
			continue
		}
		if err := tx.Prebuilds().Delete(ctx, old.ID); err != nil && !records.IsCode(err, "prebuild_busy") {
			return err
		}
	}
	return nil
}

// prepare runs the setup script in a machine and takes its snapshot, which is still
// said to be taken. Nothing of the machine is left when it returns.
func (u *UseCases) prepare(ctx context.Context, p *nixspace.Prebuild, log *work.Log) (_ *nixspace.Snapshot, err error) {
	report := nixspace.ProgressFunc(func(g nixspace.Progress) {
		if g.Log == "" {
			u.cfg.Progress.Publish(p.ID, g)
		}
	})
	v, err := records.OneVersion(ctx, u.cfg.Records.Store.Read(), p.VersionID)
	if err != nil {
		return nil, err
	}
	script, err := setup(v)
	if err != nil {
		return nil, err
	}
	// An earlier try may have left something.
	if err := u.machines.PrebuildEnded(ctx, p.ID); err != nil {
		return nil, err
	}
	defer func() {
		if end := u.machines.PrebuildEnded(context.WithoutCancel(ctx), p.ID); end != nil {
			u.cfg.Log.Error("cannot end the machine of a prebuild", "prebuild", p.ID, "error", end)
		}
	}()
	spec, err := u.machines.PrebuildSpec(ctx, p, report)
	if err != nil {
		return nil, err
	}
	m, err := u.cfg.Host.Start(ctx, *spec, report)
	if err != nil {
		return nil, err
	}
	defer u.stop(ctx, m)
	report(nixspace.Progress{Job: nixspace.SetupScript, Phase: "setup"})
	log.Line("$ " + script)
	if err := u.runSetup(ctx, m, script, spec.Egress, log); err != nil {
		return nil, err
	}
	report(nixspace.Progress{Job: nixspace.SetupScript, Phase: "setup", Final: true})
	report(nixspace.Progress{Job: "snapshot", Phase: "snapshot"})
	return u.snapshot(ctx, p, m)
}

// stop ends a machine in order, so that it need not be ended by force.
func (u *UseCases) stop(ctx context.Context, m nixspace.Machine) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	if err := m.Stop(ctx); err != nil {
		u.cfg.Log.Warn("the machine of a prebuild did not stop in order", "error", err)
	}
}

// impatience are settings of package managers for machines that reach nothing: to try
// again helps nobody there.
var impatience = map[string]string{"npm_config_fetch_retries": "0", "PIP_RETRIES": "0", "CARGO_NET_RETRY": "0", "BUNDLE_RETRY": "0"}

// runSetup runs the script as a person would by `nixspace exec --script setup`, but for
// variables that programs ask whether a person is there.
func (u *UseCases) runSetup(ctx context.Context, m nixspace.Machine, script string, egress nixspace.Egress, log *work.Log) error {
	ctx, cancel := context.WithTimeoutCause(ctx, setupLimit, errTooLong)
	defer cancel()
	env := map[string]string{"CI": "true"}
	if !egress.Any() {
		maps.Copy(env, impatience)
	}
	code, err := execute(ctx, m, nixspace.Command{Argv: []string{"sh", "-c", script, nixspace.SetupScript}, Env: env}, log.Line)
	switch {
	case errors.Is(context.Cause(ctx), errTooLong):
		return nixspace.Errorf(nixspace.KindLimit, "setup_timeout", "the script %s ran for %s and was stopped", nixspace.SetupScript, setupLimit)
	case err != nil:
		return err
	case code != 0:
		failed := nixspace.Errorf(nixspace.KindBuild, "setup_failed", "the script %s ended with exit code %d", nixspace.SetupScript, code)
		if !egress.Any() {
			failed.Message += "; the environment may reach nothing outside of itself (network.egress in its manifest)"
		}
		return failed
	}
	// The snapshot has the memory too, but who begins from the disk alone must find
	// everything there.
	_, err = execute(ctx, m, nixspace.Command{Argv: []string{"sh", "-c", "psql -qXc checkpoint >/dev/null 2>&1; sync"}}, func(string) {})
	return err
}

var errTooLong = errors.New("it took too long")

// snapshot takes the snapshot of a machine. Its row comes before its files, and says
// that they may be there in part, until [UseCases.finish] says otherwise.
func (u *UseCases) snapshot(ctx context.Context, p *nixspace.Prebuild, m nixspace.Machine) (*nixspace.Snapshot, error) {
	taker, ok := m.(nixspace.Snapshotter)
	if !ok {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "snapshot_unsupported", "the machines of this host cannot take snapshots, so nothing can be prepared")
	}
	snap := &nixspace.Snapshot{
		ID: nixspace.NewID(), SessionID: p.ID, EnvironmentID: p.EnvironmentID, Environment: p.Environment, VersionID: p.VersionID,
		Implicit: true, State: nixspace.SnapshotTaking, CreatedAt: records.Now(),
	}
	err := u.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		snap.CreatedBy = actor.ID
		return tx.Snapshots().Create(ctx, snap)
	})
	if err != nil {
		return nil, err
	}
	taking, cancel := context.WithTimeout(ctx, snapshotLimit)
	defer cancel()
	info, err := taker.Snapshot(taking, snap.ID)
	if err != nil {
		// As it is not being taken any more, it is collected like others.
		snap.State = nixspace.SnapshotLost
		record, cancel := context.WithTimeout(context.WithoutCancel(ctx), work.RecordLimit)
		defer cancel()
		return nil, errors.Join(err, u.cfg.Records.Store.Read().Snapshots().Update(record, snap))
	}
	snap.State, snap.Memory, snap.Consistency = nixspace.SnapshotReady, info.Memory, info.Consistency
	snap.Size, snap.Shared, snap.Pause, snap.CompatKey = info.Size, info.Shared, info.Pause, info.CompatKey
	return snap, nil
}
