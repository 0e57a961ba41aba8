package environments

import (
	"context"
	"fmt"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
)

// Rollback asks for a new version that is what an earlier one was.
type Rollback struct {
	Ref string // the environment
	// To is the version to go back to; where it begins with ~, ^ or @ it goes on
	// from Ref. The first parent of the head when it is empty.
	To           string
	ExpectedHead string // as in Change
	Message      string
}

// Rollback makes a new version of an environment with the content of an earlier
// one, exactly as that was: nothing is resolved anew. Because it is a version as
// any other, rolling back once more undoes it.
func (a *UseCases) Rollback(ctx context.Context, in Rollback) (*nixspace.Version, *nixspace.Build, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := records.CheckText("the message", in.Message, records.MaxMessage); err != nil {
		return nil, nil, err
	}
	to := in.To
	switch {
	case to == "":
		to = in.Ref + "~1"
	case strings.ContainsAny(to[:1], "~^@"):
		to = in.Ref + to
	}
	// Relative to a head that moved meanwhile it would be another version.
	return a.retry(ctx, false, func() (*nixspace.Version, *nixspace.Build, error) {
		env, head, err := findHead(ctx, tx, in.Ref)
		if err != nil {
			return nil, nil, err
		}
		if _, err := expectedHead(ctx, tx, env, head, in.ExpectedHead); err != nil {
			return nil, nil, err
		}
		from, v, err := records.FindVersion(ctx, tx, to)
		if err != nil {
			return nil, nil, err
		}
		if from.ProjectID != env.ProjectID {
			return nil, nil, otherProject(from, env)
		}
		def, err := a.definitionOf(ctx, v)
		if err != nil {
			return nil, nil, err
		}
		message := in.Message
		if message == "" {
			message = fmt.Sprintf("Roll back to %s: %s", records.Short(v.VersionHash), records.FirstLine(v.Message))
		}
		return a.commit(ctx, env, head, def, commit{
			action: nixspace.MoveRollback, kind: "environment.rolled_back", verb: "rolled back", message: message,
		})
	})
}

func otherProject(a, b *nixspace.Environment) error {
	return nixspace.Errorf(nixspace.KindInvalid, "project_mismatch", "%s and %s are of different projects", a.Ref(), b.Ref()).
		WithHint("name a version of project %s", b.Project)
}

// Pick asks for a new version in which the change of one version is made
// (CherryPick) or undone (Revert).
type Pick struct {
	Version string // whose change it is
	Ref     string // the environment; for Revert, that of Version when it is empty
	// Mainline is the parent of a merge, 1 or 2, against which its change is meant.
	Mainline     int
	Prefer       manifest.Side // as in Merge, with the environment as ours
	Takes        []manifest.Take
	ExpectedHead string // as in Change
	Message      string
}

// Picked is the outcome of Revert and CherryPick: either a version with its
// build, or conflicts, and then nothing was changed.
type Picked struct {
	Version   *nixspace.Version
	Build     *nixspace.Build
	Conflicts []manifest.Conflict
}

// Revert undoes the change of one version in the head of an environment.
func (a *UseCases) Revert(ctx context.Context, in Pick) (*Picked, error) {
	return a.pick(ctx, in, true)
}

// CherryPick makes the change of one version in the head of an environment.
func (a *UseCases) CherryPick(ctx context.Context, in Pick) (*Picked, error) {
	if in.Ref == "" {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "no environment is named that gets the change").
			WithHint("name it with --into")
	}
	return a.pick(ctx, in, false)
}

func (a *UseCases) pick(ctx context.Context, in Pick, undo bool) (*Picked, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if err := records.CheckText("the message", in.Message, records.MaxMessage); err != nil {
		return nil, err
	}
	from, v, err := records.FindVersion(ctx, tx, in.Version)
	if err != nil {
		return nil, err
	}
	before, err := mainline(ctx, tx, v, in.Mainline)
	if err != nil {
		return nil, err
	}
	ref := in.Ref
	if ref == "" {
		ref = string(from.ID)
	}
	c := commit{action: nixspace.MoveCherryPick, kind: "environment.changed", verb: "changed", message: in.Message}
	base, theirs := before, v.Manifest
	if undo {
		c.action, base, theirs = nixspace.MoveRevert, v.Manifest, before
	}
	if c.message == "" && undo {
		c.message = fmt.Sprintf("Revert %s: %s", records.Short(v.VersionHash), records.FirstLine(v.Message))
	} else if c.message == "" {
		c.message = v.Message
	}
	opts, err := resolve(in.Prefer, in.Takes)
	if err != nil {
		return nil, err
	}
	out := &Picked{}
	out.Version, out.Build, err = a.retry(ctx, in.ExpectedHead == "", func() (*nixspace.Version, *nixspace.Build, error) {
		env, head, err := findHead(ctx, tx, ref)
		if err != nil {
			return nil, nil, err
		}
		if _, err := expectedHead(ctx, tx, env, head, in.ExpectedHead); err != nil {
			return nil, nil, err
		}
		m, err := manifest.MergeWith(base, head.Manifest, theirs, opts)
		if err != nil {
			return nil, nil, err
		}
		def, conflicts, err := a.mergedDefinition(ctx, env, m)
		if err != nil {
			return nil, nil, err
		}
		if out.Conflicts = conflicts; len(conflicts) > 0 {
			return nil, nil, errConflicts
		}
		return a.commit(ctx, env, head, def, c)
	})
	if records.IsCode(err, errConflicts.Code) {
		return &Picked{Conflicts: out.Conflicts}, nil
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// errConflicts ends an attempt that conflicts; it does not leave this package.
var errConflicts = nixspace.Errorf(nixspace.KindConflict, "conflicts", "there are conflicts")

// mainline returns the manifest that a version is compared with: that of its
// parent, and nothing for a first version.
func mainline(ctx context.Context, tx records.Tx, v *nixspace.Version, n int) (string, error) {
	switch {
	case len(v.Parents) == 0 && n == 0:
		return "", nil
	case n < 0 || n > len(v.Parents):
		return "", nixspace.Errorf(nixspace.KindInvalid, "mainline_invalid", "version %s has no parent %d", records.Short(v.VersionHash), n).
			WithHint("it has %d", len(v.Parents))
	case len(v.Parents) > 1 && n == 0:
		return "", nixspace.Errorf(nixspace.KindInvalid, "mainline_missing", "version %s is a merge, so it must be said which of its parents its change is against", records.Short(v.VersionHash)).
			WithHint("give --mainline 1 for what was merged into the first")
	}
	id, err := records.FindHash(ctx, tx, v.Parents[max(n, 1)-1])
	if err != nil {
		return "", err
	}
	parent, err := records.OneVersion(ctx, tx, id)
	if err != nil {
		return "", err
	}
	return parent.Manifest, nil
}
