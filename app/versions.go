package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
)

// Edit is one change that somebody asks for.
type Edit struct {
	Op    nixspace.ChangeOp
	Key   string // "postgresql" (a package) or a manifest path: "env.NODE_ENV", "resources.memory", "services.postgresql.port"
	Value string // a version constraint or a TOML value; empty for a removal
}

// Change asks for a new version of an environment.
type Change struct {
	Ref string
	// ExpectedHead, when not empty, is the version hash that the environment must
	// still have; otherwise the change fails with kind conflict. A prefix of it,
	// of 6 digits at least, will do.
	ExpectedHead string
	Edits        []Edit
	// Manifest, when not empty, replaces nixspace.toml as a whole; Edits must then
	// be empty.
	Manifest string
	Message  string
}

// maxRebase is how often edits are made again on a head that moved meanwhile.
const maxRebase = 3

// Change makes a new version of an environment, and queues its build. Edits
// without an ExpectedHead are made again on top when somebody else changes the
// environment at the same time; a whole manifest is not, since that would undo
// the other change: it fails with kind conflict.
func (a *App) Change(ctx context.Context, in Change) (*nixspace.Version, *nixspace.Build, error) {
	tx, err := a.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := checkText("the message", in.Message, maxMessage); err != nil {
		return nil, nil, err
	}
	if (len(in.Edits) == 0) == (in.Manifest == "") {
		return nil, nil, nixspace.Errorf(nixspace.KindInvalid, "change_invalid", "a change has edits or a whole manifest, and not both")
	}
	if in.ExpectedHead != "" && !hashPrefix.MatchString(in.ExpectedHead) {
		return nil, nil, nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.80q is no version hash", in.ExpectedHead)
	}
	for attempt := 1; ; attempt++ {
		v, b, err := a.changeOnce(ctx, tx, in)
		if isCode(err, "head_moved") && in.ExpectedHead == "" && in.Manifest == "" && attempt <= maxRebase {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		b, err = a.settle(ctx, b)
		return v, b, err
	}
}

func (a *App) changeOnce(ctx context.Context, tx Tx, in Change) (*nixspace.Version, *nixspace.Build, error) {
	env, err := findEnvironment(ctx, tx, in.Ref)
	if err != nil {
		return nil, nil, err
	}
	head, err := oneVersion(ctx, tx, env.Head)
	if err != nil {
		return nil, nil, err
	}
	if !strings.HasPrefix(head.VersionHash, in.ExpectedHead) {
		return nil, nil, nixspace.Errorf(nixspace.KindConflict, "head_moved",
			"%s is at version %s now, not at %s", env.Ref(), short(head.VersionHash), short(in.ExpectedHead)).
			WithHint("look at its newest version, then try again").WithDetail("head", head.VersionHash)
	}
	var def *definition
	if in.Manifest != "" {
		def, err = a.define(ctx, env.Project, in.Manifest)
	} else {
		def, err = a.redefine(ctx, env.Project, head, in.Edits)
	}
	if err != nil {
		return nil, nil, err
	}
	if def.text == head.Manifest && def.hash == head.ManifestHash {
		return nil, nil, nixspace.Errorf(nixspace.KindInvalid, "nothing_changed", "%s is already so", env.Ref())
	}
	message := in.Message
	if message == "" && len(in.Edits) > 0 {
		message = describe(in.Edits)
	} else if message == "" {
		message = "Replace the manifest"
	}

	var v *nixspace.Version
	var b *nixspace.Build
	err = a.write(ctx, func(actor Actor, tx Tx) error {
		at := a.now()
		var err error
		if v, err = newVersion(actor, env.ID, def, head, message, at); err != nil {
			return err
		}
		// The head moves first: its row lock makes a rival wait, and then fail.
		if err := tx.Environments().MoveHead(ctx, v, head.ID); err != nil {
			return err
		}
		if err := tx.Versions().Create(ctx, v, head.ID); err != nil {
			return err
		}
		if b, err = a.openBuild(ctx, tx, v.ID, def.present, at); err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: at, Kind: "environment.changed", ProjectID: env.ProjectID, EnvironmentID: env.ID, BuildID: b.ID, Actor: actor.Name,
			Message: fmt.Sprintf("changed %s: %s", env.Ref(), firstLine(message)),
			Data:    map[string]any{"version": v.VersionHash, "parent": head.VersionHash},
		})
	})
	if err != nil {
		return nil, nil, err
	}
	return v, b, nil
}

// newVersion makes the version of def that follows parent, which is nil for a
// first one.
func newVersion(actor Actor, env nixspace.ID, def *definition, parent *nixspace.Version, message string, at time.Time) (*nixspace.Version, error) {
	if err := checkText("the message", message, maxMessage); err != nil {
		return nil, err
	}
	v := &nixspace.Version{
		ID: nixspace.NewID(), EnvironmentID: env, ManifestHash: def.hash, Manifest: def.text, Canonical: def.canonical,
		FlakeContent: def.flake, FlakeLock: def.lock, DrvPath: def.drvPath, OutPath: def.outPath,
		Message: message, Author: actor.Name, CreatedBy: actor.ID, CreatedAt: at, Seq: 1,
	}
	if parent != nil {
		v.Parents = []string{parent.VersionHash}
		v.Seq = parent.Seq + 1
		// Time does not run backwards along a history, whatever the clock does.
		if !v.CreatedAt.After(parent.CreatedAt) {
			v.CreatedAt = parent.CreatedAt.Add(time.Microsecond)
		}
	}
	var err error
	if v.Changes, err = def.changesFrom(parent); err != nil {
		return nil, err
	}
	v.VersionHash = v.ComputeHash()
	return v, nil
}

// describe is the message of a change that came without one.
func describe(edits []Edit) string {
	var parts []string
	for _, e := range edits {
		switch {
		case e.Op == nixspace.ChangeRemove:
			parts = append(parts, "remove "+e.Key)
		case e.Op == nixspace.ChangeAdd && e.Value == "":
			parts = append(parts, "add "+e.Key)
		case e.Op == nixspace.ChangeAdd:
			parts = append(parts, "add "+e.Key+" "+e.Value)
		default:
			parts = append(parts, "set "+e.Key+" to "+e.Value)
		}
	}
	s := strings.Join(parts, ", ")
	if s != "" {
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	if len(s) > 200 {
		s = fmt.Sprintf("Make %d changes", len(edits))
	}
	return s
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// Version returns a version by reference.
func (a *App) Version(ctx context.Context, ref string) (*nixspace.Version, error) {
	tx, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	_, v, err := findVersion(ctx, tx, ref)
	return v, err
}

// VersionsByID returns those of the versions that exist, in any order.
func (a *App) VersionsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Version, error) {
	tx, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Versions().ByIDs(ctx, ids...)
}

// maxPage bounds the lists that are read in pages.
const maxPage = 500

// Versions lists an environment's versions, newest first: limit of them, those
// before the sequence number before (0 for the newest). The history of a branch
// goes on in the environment that it was branched from.
func (a *App) Versions(ctx context.Context, ref string, before int64, limit int) ([]nixspace.Version, error) {
	tx, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	_, v, err := findVersion(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	return tx.Versions().History(ctx, v.ID, max(before, 0), limit)
}

// Realisation returns what was built for a version; kind not_found where it has
// not been built.
func (a *App) Realisation(ctx context.Context, versionRef string) (*nixspace.Realisation, error) {
	tx, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	env, v, err := findVersion(ctx, tx, versionRef)
	if err != nil {
		return nil, err
	}
	r, err := tx.Versions().Realisation(ctx, v.DrvPath)
	if notFound(err) {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "realisation_unknown", "%s has not been built at version %s", env.Ref(), short(v.VersionHash)).
			WithHint("build it with `nixspace build %s`", env.Ref())
	}
	return r, err
}
