package environments

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/history"
	"github.com/nixspace/nixspace/env/manifest"
)

// resolve returns what a request says about conflicts.
func resolve(prefer manifest.Side, takes []manifest.Take) (manifest.MergeOptions, error) {
	if len(takes) > records.MaxEdits {
		return manifest.MergeOptions{}, nixspace.Errorf(nixspace.KindLimit, "too_many_edits", "%d resolutions at once are too many: %d are allowed", len(takes), records.MaxEdits)
	}
	if prefer != "" && prefer != manifest.Ours && prefer != manifest.Theirs {
		return manifest.MergeOptions{}, nixspace.Errorf(nixspace.KindInvalid, "resolution_invalid", "%q is no side", prefer).WithHint("prefer ours or theirs")
	}
	return manifest.MergeOptions{Prefer: prefer, Takes: takes}, nil
}

// Merge asks for what a version has in it to be made in an environment too.
type Merge struct {
	From string // an environment or version: theirs
	Into string // the environment: ours
	// Prefer is the side that conflicts take which Takes do not decide; empty for
	// neither.
	Prefer        manifest.Side
	Takes         []manifest.Take
	NoFastForward bool // make a version also where the head could just move
	// NoBuild commits the result before it is built, as a change is.
	NoBuild      bool
	ExpectedHead string // as in Change
	Message      string
	DryRun       bool // find out what would come of it, and change nothing
}

// MergeOutcome says what came of a merge.
type MergeOutcome string

// The outcomes. With the first two and with the last nothing was changed.
const (
	MergeUpToDate    MergeOutcome = "up_to_date"
	MergeConflicts   MergeOutcome = "conflicts"
	MergeFastForward MergeOutcome = "fast_forward"
	MergeMerged      MergeOutcome = "merged"
	MergeBuilding    MergeOutcome = "building" // the head moves once the result is built
	MergeFailed      MergeOutcome = "failed"   // the result could not be built, so the head stayed
)

// Merged is what came of a merge.
type Merged struct {
	Outcome     MergeOutcome
	FastForward bool // the outcome is or will be that; for a dry run too
	Conflicts   []manifest.Conflict
	Changes     []nixspace.Change // that it makes in the environment
	Bases       []string          // hashes of the common ancestors that it started from
	Manifest    string            // of the result, with our side of conflicts
	Version     *nixspace.Version // the result; nil where there is none
	Build       *nixspace.Build   // of Version
	Merge       *nixspace.Merge   // its record, where it had to be built first
}

// Merge merges a version into an environment.
//
// The result is resolved and built before it is committed: the head moves in the
// transaction that records that its build succeeded. Until then it is not in the
// environment's history, and should the build fail, or the head have moved
// meanwhile, it never is.
func (a *UseCases) Merge(ctx context.Context, in Merge) (*Merged, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if err := records.CheckText("the message", in.Message, records.MaxMessage); err != nil {
		return nil, err
	}
	again := in.ExpectedHead == ""
	for attempt := 1; ; attempt++ {
		out, err := a.mergeOnce(ctx, tx, in)
		moved := records.IsCode(err, "head_moved") ||
			err == nil && out.Merge != nil && out.Merge.Status == nixspace.MergeFailed && out.Merge.ErrorCode == "head_moved"
		if moved && again && attempt <= maxRebase && ctx.Err() == nil {
			continue
		}
		return out, err
	}
}

func (a *UseCases) mergeOnce(ctx context.Context, tx records.Tx, in Merge) (*Merged, error) {
	env, head, err := findHead(ctx, tx, in.Into)
	if err != nil {
		return nil, err
	}
	if _, err := expectedHead(ctx, tx, env, head, in.ExpectedHead); err != nil {
		return nil, err
	}
	from, theirs, err := records.FindVersion(ctx, tx, in.From)
	if err != nil {
		return nil, err
	}
	if from.ProjectID != env.ProjectID {
		return nil, otherProject(from, env)
	}
	opts, err := resolve(in.Prefer, in.Takes)
	if err != nil {
		return nil, err
	}
	text := func(hash string) (string, error) {
		for _, v := range []*nixspace.Version{head, theirs} {
			if v.VersionHash == hash {
				return v.Manifest, nil
			}
		}
		id, err := records.FindHash(ctx, tx, hash)
		if err != nil {
			return "", err
		}
		v, err := records.OneVersion(ctx, tx, id)
		if err != nil {
			return "", err
		}
		return v.Manifest, nil
	}
	load := records.Loader(ctx, tx, records.SearchPortion)
	m, bases, err := history.Merge(load, text, head.VersionHash, theirs.VersionHash, opts)
	if err != nil {
		return nil, err
	}
	out := &Merged{Outcome: MergeMerged, Manifest: m.Text}
	for _, b := range bases {
		out.Bases = append(out.Bases, b.Hash)
	}
	switch {
	case out.Bases[0] == theirs.VersionHash:
		out.Outcome, out.Version = MergeUpToDate, head
		return out, nil
	case out.Bases[0] == head.VersionHash && !in.NoFastForward && len(in.Takes) == 0:
		return a.fastForward(ctx, tx, env, head, theirs, in, out)
	}
	if err := a.checkedFor(ctx, tx, in, head, theirs); err != nil {
		return nil, err
	}
	def, conflicts, err := a.mergedDefinition(ctx, env, m)
	if err != nil {
		return nil, err
	}
	if out.Conflicts = conflicts; len(conflicts) > 0 {
		out.Outcome = MergeConflicts
		return out, nil
	}
	if out.Changes, err = def.changesFrom(head); err != nil || in.DryRun {
		return out, err
	}
	message := in.Message
	if message == "" {
		message = fmt.Sprintf("Merge %s into %s", in.From, env.Name)
	}
	if in.NoBuild {
		c := commit{action: nixspace.MoveMerge, kind: "environment.merged", verb: "merged into", message: message, theirs: theirs}
		if out.Version, out.Build, err = a.commit(ctx, env, head, def, c); err != nil {
			return nil, err
		}
		out.Build, err = a.builds.Settle(ctx, out.Build)
		return out, err
	}
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		at := records.Now()
		var err error
		if out.Version, err = newVersion(actor, env.ID, def, message, at, head, theirs); err != nil {
			return err
		}
		if err := tx.Versions().Create(ctx, out.Version, head.ID); err != nil {
			return err
		}
		if out.Build, err = a.builds.OpenBuild(ctx, tx, out.Version.ID, def.present, at); err != nil {
			return err
		}
		out.Merge = newMerge(actor, env, head, theirs, out.Version, message, at)
		return tx.Merges().Create(ctx, out.Merge)
	})
	if err != nil {
		return nil, err
	}
	return out, a.awaitMerge(ctx, tx, out)
}

func newMerge(actor nixspace.Actor, env *nixspace.Environment, head, theirs, result *nixspace.Version, message string, at time.Time) *nixspace.Merge {
	return &nixspace.Merge{
		ID: nixspace.NewID(), EnvironmentID: env.ID, VersionID: result.ID, FromHead: head.ID, TheirsID: theirs.ID,
		FastForward: result.ID == theirs.ID, Status: nixspace.MergeBuilding, Message: message, Actor: actor.Name, CreatedAt: at,
	}
}

// awaitMerge waits for a merge whose build can be done at once, and says what
// came of it so far.
func (a *UseCases) awaitMerge(ctx context.Context, tx records.Tx, out *Merged) error {
	b, err := a.builds.Settle(ctx, out.Build)
	if err != nil {
		return err
	}
	out.Build = b
	if out.Merge, err = tx.Merges().ByID(ctx, out.Merge.ID); err != nil {
		return err
	}
	switch out.Merge.Status {
	case nixspace.MergeBuilding:
		out.Outcome = MergeBuilding
	case nixspace.MergeFailed:
		out.Outcome = MergeFailed
	case nixspace.MergeDone:
		if out.FastForward {
			out.Outcome = MergeFastForward
		}
	}
	return nil
}

// fastForward makes theirs itself the head.
func (a *UseCases) fastForward(ctx context.Context, tx records.Tx, env *nixspace.Environment, head, theirs *nixspace.Version, in Merge, out *Merged) (*Merged, error) {
	if err := a.checkedFor(ctx, tx, in, head, theirs); err != nil {
		return nil, err
	}
	out.Outcome, out.FastForward, out.Version, out.Manifest = MergeFastForward, true, theirs, theirs.Manifest
	def, err := a.definitionOf(ctx, theirs)
	if err != nil {
		return nil, err
	}
	if out.Changes, err = def.changesFrom(head); err != nil || in.DryRun {
		return out, err
	}
	message := in.Message
	if message == "" {
		message = "Fast-forward to " + in.From
	}
	built := in.NoBuild
	if !built {
		b, err := a.builds.BuildVersion(ctx, tx, theirs) // the one that it has, or a new one
		if err != nil {
			return nil, err
		}
		out.Build, built = b, b.Status == nixspace.BuildSucceeded
	}
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		at := records.Now()
		if built {
			return mergeHead(ctx, tx, actor, env, theirs, head.ID, true, message, at)
		}
		out.Merge = newMerge(actor, env, head, theirs, theirs, message, at)
		if err := tx.Merges().Create(ctx, out.Merge); err != nil {
			return err
		}
		// The build may have ended since it was asked for; then nobody will end the
		// merge with it.
		_, err := a.overtaken(ctx, tx, *out.Merge)
		return err
	})
	if err != nil {
		return nil, err
	}
	if out.Merge == nil {
		return out, nil
	}
	return out, a.awaitMerge(ctx, tx, out)
}

// mergeHead moves a head for a merge.
func mergeHead(ctx context.Context, tx records.Tx, actor nixspace.Actor, env *nixspace.Environment, v *nixspace.Version, from nixspace.ID, ff bool, message string, at time.Time) error {
	action := nixspace.MoveMerge
	if ff {
		action = nixspace.MoveFastForward
	}
	if err := moveHead(ctx, tx, actor, env, v, from, action, message, at); err != nil {
		return err
	}
	return tx.Events().Append(ctx, &nixspace.Event{
		At: at, Kind: "environment.merged", ProjectID: env.ProjectID, EnvironmentID: env.ID, Actor: actor.Name,
		Message: fmt.Sprintf("merged into %s: %s", env.Ref(), records.FirstLine(message)), Data: map[string]any{"version": v.VersionHash, "fast_forward": ff},
	})
}

// mergedDefinition resolves what a merge came to. That two sides do not go
// together may show only now, and is a conflict too.
func (a *UseCases) mergedDefinition(ctx context.Context, env *nixspace.Environment, m *manifest.Merged) (*Definition, []manifest.Conflict, error) {
	if len(m.Conflicts) > 0 {
		return nil, m.Conflicts, nil
	}
	def, err := a.define(ctx, m.Text)
	if nixspace.ErrorKind(err) == nixspace.KindInvalid {
		return nil, []manifest.Conflict{{Kind: manifest.ConflictInvalid, Reason: err.Error()}}, nil
	}
	return def, nil, err
}

// endMerges ends the merges that wait for a build's version, in the transaction
// that records the build's end.
func (a *UseCases) endMerges(ctx context.Context, tx records.Tx, b *nixspace.Build) error {
	waiting, err := tx.Merges().Building(ctx, b.VersionID)
	if err != nil {
		return err
	}
	// Everything is locked, in one order, before the first event is appended.
	slices.SortFunc(waiting, func(a, b nixspace.Merge) int { return cmp.Compare(a.EnvironmentID, b.EnvironmentID) })
	for _, m := range waiting {
		if _, err := tx.Environments().Lock(ctx, m.EnvironmentID); err != nil {
			return err
		}
	}
	for _, m := range waiting {
		if err := a.endMerge(ctx, tx, m, b); err != nil {
			return err
		}
	}
	return nil
}

func (a *UseCases) endMerge(ctx context.Context, tx records.Tx, m nixspace.Merge, b *nixspace.Build) error {
	m.FinishedAt = records.Now()
	env, err := tx.Environments().Lock(ctx, m.EnvironmentID)
	if err != nil {
		return err
	}
	switch b.Status {
	case nixspace.BuildSucceeded:
		v, err := records.OneVersion(ctx, tx, m.VersionID)
		if err != nil {
			return err
		}
		m.Status = nixspace.MergeDone
		err = mergeHead(ctx, tx, nixspace.Actor{Name: m.Actor}, env, v, m.FromHead, m.FastForward, m.Message, m.FinishedAt)
		switch {
		case records.IsCode(err, "head_moved"):
			m.Status, m.ErrorCode = nixspace.MergeFailed, "head_moved"
			m.Error = "somebody else changed " + env.Ref() + " while the merge was being built; merge again"
		case records.IsCode(err, "environment_deleted"):
			m.Status, m.ErrorCode, m.Error = nixspace.MergeFailed, "environment_deleted", env.Ref()+" was deleted meanwhile"
		case err != nil:
			return err
		}
	case nixspace.BuildCanceled:
		m.Status, m.ErrorCode, m.Error = nixspace.MergeFailed, "canceled", "its build was canceled"
	default:
		m.Status, m.ErrorCode, m.Error = nixspace.MergeFailed, b.ErrorCode, "it does not build: "+b.Error
	}
	_, err = tx.Merges().End(ctx, &m)
	return err
}

// overtaken ends a merge whose build ended without it, and reports whether it did.
func (a *UseCases) overtaken(ctx context.Context, tx records.Tx, m nixspace.Merge) (bool, error) {
	newest, err := builds.NewestBuild(ctx, tx, m.VersionID)
	if err != nil {
		return false, err
	}
	// Either its end is seen here, or whoever records it sees the merge.
	b, err := tx.Builds().Lock(ctx, newest.ID)
	if err != nil || !b.Status.Final() {
		return false, err
	}
	return true, a.endMerge(ctx, tx, m, b)
}

// Reconcile ends merges whose build has ended. There should be none: a
// merge ends with its build, and builds that a crash interrupted are queued again.
func (a *UseCases) Reconcile(ctx context.Context) error {
	open, err := a.records.Store.Read().Merges().Building(ctx, "")
	if err != nil {
		return err
	}
	for _, m := range open {
		err := a.records.Write(ctx, func(_ nixspace.Actor, tx records.Tx) error {
			ended, err := a.overtaken(ctx, tx, m)
			if ended {
				a.log.Info("ended a merge whose build had ended", "merge", m.ID)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// MergeByID returns the record of a merge that had to be built first.
func (a *UseCases) MergeByID(ctx context.Context, id nixspace.ID) (*nixspace.Merge, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Merges().ByID(ctx, id)
}
