package environments

import (
	"context"
	"fmt"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
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
	// Rebase, where the environment is no longer at ExpectedHead, makes what the
	// change changes in that version on top of the newest one, by meaning. It fails
	// with code "rebase_conflict" where both changed the same.
	Rebase bool
	Edits  []Edit
	// Manifest, when not empty, replaces nixspace.toml as a whole; Edits must then
	// be empty.
	Manifest string
	Message  string
}

// maxRebase is how often edits are made again on a head that moved meanwhile.
// Each time, at least one other change was made.
const maxRebase = 100

// Change makes a new version of an environment, and queues its build. Edits
// without an ExpectedHead are made again on top when somebody else changes the
// environment at the same time; a whole manifest is not, since that would undo
// the other change: it fails with kind conflict.
func (a *UseCases) Change(ctx context.Context, in Change) (*nixspace.Version, *nixspace.Build, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := records.CheckText("the message", in.Message, records.MaxMessage); err != nil {
		return nil, nil, err
	}
	if (len(in.Edits) == 0) == (in.Manifest == "") {
		return nil, nil, nixspace.Errorf(nixspace.KindInvalid, "change_invalid", "a change has edits or a whole manifest, and not both")
	}
	again := in.Rebase || in.ExpectedHead == "" && in.Manifest == ""
	return a.retry(ctx, again, func() (*nixspace.Version, *nixspace.Build, error) { return a.changeOnce(ctx, tx, in) })
}

// retry commits a change, and again while others move the head in between if it
// may be made again; then it waits for a build that can be done at once.
func (a *UseCases) retry(ctx context.Context, again bool, commit func() (*nixspace.Version, *nixspace.Build, error)) (*nixspace.Version, *nixspace.Build, error) {
	for attempt := 1; ; attempt++ {
		v, b, err := commit()
		if records.IsCode(err, "head_moved") && again && attempt <= maxRebase && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		b, err = a.builds.Settle(ctx, b)
		return v, b, err
	}
}

func (a *UseCases) changeOnce(ctx context.Context, tx records.Tx, in Change) (*nixspace.Version, *nixspace.Build, error) {
	env, head, err := findHead(ctx, tx, in.Ref)
	if err != nil {
		return nil, nil, err
	}
	base, err := expectedHead(ctx, tx, env, head, in.ExpectedHead)
	if records.IsCode(err, "head_moved") && in.Rebase && base != nil {
		err = nil
	}
	if err != nil {
		return nil, nil, err
	}
	text := in.Manifest
	if text == "" {
		if text, err = edited(base, in.Edits); err != nil {
			return nil, nil, err
		}
	}
	if base.ID != head.ID {
		if text, err = rebased(env, base, head, text); err != nil {
			return nil, nil, err
		}
	}
	def, err := a.define(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	message := in.Message
	if message == "" && len(in.Edits) > 0 {
		message = describe(in.Edits)
	} else if message == "" {
		message = "Replace the manifest"
	}
	return a.commit(ctx, env, head, def, commit{action: nixspace.MoveChange, kind: "environment.changed", verb: "changed", message: message})
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

// Version returns a version by reference.
func (a *UseCases) Version(ctx context.Context, ref string) (*nixspace.Version, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	_, v, err := records.FindVersion(ctx, tx, ref)
	return v, err
}

// VersionsByID returns those of the versions that exist, in any order.
func (a *UseCases) VersionsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Version, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Versions().ByIDs(ctx, ids...)
}

// MaxPage bounds the lists that are read in pages.
const MaxPage = 500

// Versions lists an environment's versions, newest first: limit of them, those
// before the sequence number before (0 for the newest). The history of a branch
// goes on in the environment that it was branched from.
func (a *UseCases) Versions(ctx context.Context, ref string, before int64, limit int) ([]nixspace.Version, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	_, v, err := records.FindVersion(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	return tx.Versions().History(ctx, v.ID, max(before, 0), limit)
}

// Realisation returns what was built for a version; kind not_found where it has
// not been built.
func (a *UseCases) Realisation(ctx context.Context, versionRef string) (*nixspace.Realisation, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	env, v, err := records.FindVersion(ctx, tx, versionRef)
	if err != nil {
		return nil, err
	}
	r, err := tx.Versions().Realisation(ctx, v.DrvPath)
	if records.NotFound(err) {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "realisation_unknown", "%s has not been built at version %s", env.Ref(), records.Short(v.VersionHash)).
			WithHint("build it with `nixspace build %s`", env.Ref())
	}
	return r, err
}
