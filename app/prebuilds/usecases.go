// Package prebuilds makes code ready before somebody opens it: it runs the setup
// script of an environment over its code in a machine of its own, keeps what that
// came to as a snapshot, and lets new sessions begin from it.
//
// A machine that prepares code is no session: nobody can be in it, it has nobody's
// number, and nothing is in it but what the manifest and the code say. What belongs
// to a session or a person (credentials, for example) must never be given to it,
// since every session of the environment begins from its memory.
package prebuilds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/fetches"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// Machines are what sessions know about machines.
type Machines interface {
	// PrebuildSpec builds what the machine of a prebuild needs, where that was not
	// done, and says what machine that is.
	PrebuildSpec(ctx context.Context, p *nixspace.Prebuild, report nixspace.ProgressFunc) (*nixspace.MachineSpec, error)
	// PrebuildEnded ends whatever is left of such a machine, and removes its files.
	PrebuildEnded(ctx context.Context, id nixspace.ID) error
	// CollectSnapshots removes snapshots that nothing needs any more.
	CollectSnapshots(ctx context.Context)
}

// Jobs queues durable work in the transaction that asks for it.
type Jobs interface {
	EnqueuePrebuild(ctx context.Context, tx records.Tx, prebuild nixspace.ID) error
	CancelPrebuild(ctx context.Context, prebuild nixspace.ID) error
}

// Config is what the use cases work with. Jobs and Trees may be nil: without Jobs
// nothing is prepared, and without Trees no session begins from other code than its
// own.
type Config struct {
	Records    *records.Records
	Host       nixspace.Machines
	Workspaces interface {
		Path(digest string) (string, error)
	}
	Trees    fetches.Trees
	Jobs     Jobs
	Progress *work.ProgressHub
	Log      *slog.Logger
}

// UseCases are the use cases about prebuilds. They are safe for concurrent use, once
// [UseCases.Over] was called.
type UseCases struct {
	cfg      Config
	machines Machines
	running  *work.RunSet // prebuilds that this process works on
}

// New returns the use cases about prebuilds.
func New(cfg Config) *UseCases { return &UseCases{cfg: cfg, running: work.NewRunSet()} }

// Over says who knows about machines.
func (u *UseCases) Over(m Machines) { u.machines = m }

// describe returns the prebuild that a version of an environment needs, as it would
// be made now; nil where it has no setup script.
func describe(ctx context.Context, tx records.Tx, env *nixspace.Environment, v *nixspace.Version) (*nixspace.Prebuild, error) {
	script, err := setup(v)
	if err != nil || script == "" {
		return nil, err
	}
	code, err := tx.Code().Of(ctx, env.ID)
	if err != nil {
		return nil, err
	}
	// The hash of the manifest covers its scripts, and what the machine has.
	sum := sha256.Sum256([]byte(fmt.Sprintf("nixspace prebuild 1\n%s\n%s\n%s\n", env.ProjectID, code.Workspace, v.ManifestHash)))
	return &nixspace.Prebuild{
		ID: nixspace.NewID(), Key: hex.EncodeToString(sum[:]), ProjectID: env.ProjectID, EnvironmentID: env.ID, VersionID: v.ID,
		Environment: env.Ref(), Workspace: code.Workspace, ManifestHash: v.ManifestHash, Status: nixspace.BuildQueued, CreatedAt: records.Now(),
	}, nil
}

// setup returns the setup script of a version; empty for none.
func setup(v *nixspace.Version) (string, error) {
	r, err := records.Restore(v)
	if err != nil {
		return "", err
	}
	return r.Manifest.Scripts[nixspace.SetupScript], nil
}

func (u *UseCases) missing() error {
	return nixspace.Errorf(nixspace.KindUnavailable, "prebuilds_unavailable", "this server prepares no code")
}

func event(ctx context.Context, tx records.Tx, actor nixspace.Actor, p *nixspace.Prebuild, what, message string) error {
	return tx.Events().Append(ctx, &nixspace.Event{
		At: records.Now(), Kind: "prebuild." + what, ProjectID: p.ProjectID, EnvironmentID: p.EnvironmentID, Actor: actor.Name,
		Message: p.Environment + ": " + message,
		Data:    map[string]any{"prebuild": string(p.ID), "workspace": p.Workspace, "manifest": p.ManifestHash, "code": p.ErrorCode},
	})
}

// keepGood is how many snapshots of one environment are kept: the last good ones.
const keepGood = 3

// Limits of what must end by itself.
const (
	setupLimit    = 30 * time.Minute // of the script
	snapshotLimit = 5 * time.Minute
	stopLimit     = 30 * time.Second
)
