package environments

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
)

// commit says how a head moves to a new version.
type commit struct {
	action  nixspace.MoveAction
	kind    string // of the event
	verb    string // for its message: "changed"
	message string // of the version
	// theirs is the second parent of a merge; nil otherwise.
	theirs *nixspace.Version
}

// commit makes a version of def that follows head, moves the environment's head
// to it and queues its build, in one transaction.
func (a *UseCases) commit(ctx context.Context, env *nixspace.Environment, head *nixspace.Version, def *Definition, c commit) (*nixspace.Version, *nixspace.Build, error) {
	if c.theirs == nil && def.text == head.Manifest && def.hash == head.ManifestHash {
		return nil, nil, nixspace.Errorf(nixspace.KindInvalid, "nothing_changed", "%s is already so", env.Ref())
	}
	if env.Protected && !c.action.Merges() {
		return nil, nil, nixspace.Protected(env) // MoveHead says so too, whatever happens meanwhile
	}
	var v *nixspace.Version
	var b *nixspace.Build
	err := a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		at := records.Now()
		parents := []*nixspace.Version{head}
		if c.theirs != nil {
			parents = append(parents, c.theirs)
		}
		var err error
		if v, err = newVersion(actor, env.ID, def, c.message, at, parents...); err != nil {
			return err
		}
		// The head moves first: its row lock makes a rival wait, and then fail.
		if err := moveHead(ctx, tx, actor, env, v, head.ID, c.action, c.message, at); err != nil {
			return err
		}
		if err := tx.Versions().Create(ctx, v, head.ID); err != nil {
			return err
		}
		if b, err = a.builds.OpenBuild(ctx, tx, v.ID, def.present, at); err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: at, Kind: c.kind, ProjectID: env.ProjectID, EnvironmentID: env.ID, BuildID: b.ID, Actor: actor.Name,
			Message: fmt.Sprintf("%s %s: %s", c.verb, env.Ref(), records.FirstLine(c.message)),
			Data:    map[string]any{"version": v.VersionHash, "parent": head.VersionHash},
		})
	})
	if err != nil {
		return nil, nil, err
	}
	return v, b, nil
}

// moveHead moves an environment's head from one version to another.
func moveHead(ctx context.Context, tx records.Tx, actor nixspace.Actor, env *nixspace.Environment, v *nixspace.Version, from nixspace.ID, action nixspace.MoveAction, message string, at time.Time) error {
	return tx.Environments().MoveHead(ctx, v, nixspace.HeadMove{
		EnvironmentID: env.ID, From: from, Action: action, Message: records.FirstLine(message), Actor: actor.Name, At: at,
	})
}

// FirstMove is the first entry of an environment's reflog.
func FirstMove(actor nixspace.Actor, action nixspace.MoveAction, message string) nixspace.HeadMove {
	return nixspace.HeadMove{Action: action, Message: records.FirstLine(message), Actor: actor.Name}
}

// newVersion makes the version of def that follows parents: none for a first
// one, two for a merge.
func newVersion(actor nixspace.Actor, env nixspace.ID, def *Definition, message string, at time.Time, parents ...*nixspace.Version) (*nixspace.Version, error) {
	if err := records.CheckText("the message", message, records.MaxMessage); err != nil {
		return nil, err
	}
	v := &nixspace.Version{
		ID: nixspace.NewID(), EnvironmentID: env, ManifestHash: def.hash, Manifest: def.text, Canonical: def.canonical,
		FlakeContent: def.flake, FlakeLock: def.lock, DrvPath: def.drvPath, OutPath: def.outPath,
		Message: message, Author: actor.Name, CreatedBy: actor.ID, CreatedAt: at, Seq: 1,
	}
	var first *nixspace.Version
	for i, p := range parents {
		if i == 0 {
			first = p
		}
		v.Parents = append(v.Parents, p.VersionHash)
		v.Seq = max(v.Seq, p.Seq+1)
		// Time does not run backwards along a history, whatever the clock does.
		if !v.CreatedAt.After(p.CreatedAt) {
			v.CreatedAt = p.CreatedAt.Add(time.Microsecond)
		}
	}
	var err error
	if v.Changes, err = def.changesFrom(first); err != nil {
		return nil, err
	}
	v.VersionHash = v.ComputeHash()
	return v, nil
}

// findHead returns an environment and its head.
func findHead(ctx context.Context, tx records.Tx, ref string) (*nixspace.Environment, *nixspace.Version, error) {
	env, err := records.FindEnvironment(ctx, tx, ref)
	if err != nil {
		return nil, nil, err
	}
	if !env.DeletedAt.IsZero() {
		return nil, nil, deleted(env)
	}
	head, err := records.OneVersion(ctx, tx, env.Head)
	return env, head, err
}

func deleted(env *nixspace.Environment) error {
	return nixspace.Errorf(nixspace.KindNotFound, "environment_deleted", "%s was deleted", env.Ref()).
		WithHint("bring it back with `nixspace undelete %s`", env.Ref())
}

// expectedHead returns the version that a change was made against: the head
// when it names none. Where the head is another version by now it fails with
// code "head_moved", and returns the version too if it is one that the head
// follows.
func expectedHead(ctx context.Context, tx records.Tx, env *nixspace.Environment, head *nixspace.Version, expected string) (*nixspace.Version, error) {
	if expected == "" {
		return head, nil
	}
	if !records.HashPrefix.MatchString(expected) {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.80q is no version hash", expected).
			WithHint("give 6 digits of it at least")
	}
	if strings.HasPrefix(head.VersionHash, expected) {
		return head, nil
	}
	moved := nixspace.Errorf(nixspace.KindConflict, "head_moved",
		"%s is at version %s now, not at %s", env.Ref(), records.Short(head.VersionHash), records.Short(expected)).
		WithHint("look at what changed with `nixspace log %s`; then make the change on top of it with --rebase, or on a branch from %s and merge that", env.Ref(), records.Short(expected)).
		WithDetail("head", head.VersionHash).WithDetail("expected", expected)
	id, err := records.FindHash(ctx, tx, expected)
	if err != nil {
		return nil, moved
	}
	base, err := records.OneVersion(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	known, err := records.Contains(ctx, tx, head.VersionHash, base.VersionHash)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, moved
	}
	return base, moved
}

// rebased makes what text changes in base in head.
func rebased(env *nixspace.Environment, base, head *nixspace.Version, text string) (string, error) {
	m, err := manifest.Merge(base.Manifest, head.Manifest, text)
	if err != nil {
		return "", err
	}
	if len(m.Conflicts) == 0 {
		return m.Text, nil
	}
	return "", nixspace.Errorf(nixspace.KindConflict, "rebase_conflict", "somebody else changed the same of %s: %s", env.Ref(), conflictList(m.Conflicts)).
		WithHint("look at it with `nixspace show %s`, then make the change again without --onto", env.Ref()).
		WithDetail("head", head.VersionHash).WithDetail("conflicts", conflictDetails(m.Conflicts))
}

// conflictList names conflicts in one line.
func conflictList(cs []manifest.Conflict) string {
	var parts []string
	for _, c := range cs[:min(len(cs), records.MaxCandidates)] {
		part := c.Path
		if c.Kind == manifest.ConflictInvalid {
			part = records.FirstLine(c.Reason)
		}
		parts = append(parts, part)
	}
	if len(cs) > records.MaxCandidates {
		parts = append(parts, fmt.Sprintf("%d more", len(cs)-records.MaxCandidates))
	}
	return strings.Join(parts, ", ")
}

// conflictDetails are conflicts as the details of an error.
func conflictDetails(cs []manifest.Conflict) []map[string]any {
	out := make([]map[string]any, len(cs))
	for i, c := range cs {
		out[i] = map[string]any{"kind": string(c.Kind), "path": c.Path, "base": c.Base, "ours": c.Ours, "theirs": c.Theirs, "reason": c.Reason}
	}
	return out
}
