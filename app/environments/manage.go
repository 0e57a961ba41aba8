package environments

import (
	"context"
	"fmt"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// RenameEnvironment gives an environment another name. Its history, sessions and
// branches stay what they are.
func (a *UseCases) RenameEnvironment(ctx context.Context, ref, name string) (*nixspace.Environment, error) {
	if err := nixspace.CheckName("an environment", name); err != nil {
		return nil, err
	}
	return a.manage(ctx, ref, func(tx records.Tx, e *nixspace.Environment) (kind, message string, err error) {
		old := e.Ref()
		if e.Name == name {
			return "", "", nil
		}
		e.Name = name
		return "environment.renamed", fmt.Sprintf("renamed %s to %s", old, e.Ref()), freeOfTags(ctx, tx, e)
	})
}

// ProtectEnvironment makes an environment one that only merges change, or ends
// that.
func (a *UseCases) ProtectEnvironment(ctx context.Context, ref string, protected bool) (*nixspace.Environment, error) {
	return a.manage(ctx, ref, func(_ records.Tx, e *nixspace.Environment) (kind, message string, err error) {
		switch {
		case e.Protected == protected:
			return "", "", nil
		case protected:
			kind, message = "environment.protected", "protected "+e.Ref()
		default:
			kind, message = "environment.unprotected", "no longer protects "+e.Ref()
		}
		e.Protected = protected
		return kind, message, nil
	})
}

// DeleteEnvironment takes an environment away. Its versions stay, and
// UndeleteEnvironment brings it back. It fails with code "environment_in_use"
// while a session of it has a machine, and for a protected environment.
func (a *UseCases) DeleteEnvironment(ctx context.Context, ref string) (*nixspace.Environment, error) {
	return a.manage(ctx, ref, func(tx records.Tx, e *nixspace.Environment) (kind, message string, err error) {
		if e.Protected {
			return "", "", nixspace.Errorf(nixspace.KindForbidden, "environment_protected", "%s is protected", e.Ref()).
				WithHint("end that first: nixspace unprotect %s", e.Ref())
		}
		live, err := tx.Sessions().List(ctx, nixspace.SessionFilter{Environment: e.ID, Statuses: nixspace.LiveStatuses(), Limit: 1})
		if err != nil {
			return "", "", err
		}
		if len(live) > 0 {
			return "", "", nixspace.Errorf(nixspace.KindConflict, "environment_in_use", "session %s of it is %s", live[0].Ref(), live[0].Status).
				WithHint("stop it first: nixspace stop %s", live[0].Ref())
		}
		e.DeletedAt = records.Now()
		return "environment.deleted", "deleted " + e.Ref(), nil
	})
}

// manage changes what is not in an environment's versions. It does nothing when
// change names no event.
func (a *UseCases) manage(ctx context.Context, ref string, change func(records.Tx, *nixspace.Environment) (kind, message string, err error)) (*nixspace.Environment, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	found, err := records.FindEnvironment(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	var env *nixspace.Environment
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		var err error
		if env, err = tx.Environments().Lock(ctx, found.ID); err != nil {
			return err
		}
		if !env.DeletedAt.IsZero() {
			return deleted(env)
		}
		return a.store(ctx, tx, actor, env, change)
	})
	return env, err
}

func (a *UseCases) store(ctx context.Context, tx records.Tx, actor nixspace.Actor, env *nixspace.Environment, change func(records.Tx, *nixspace.Environment) (kind, message string, err error)) error {
	kind, message, err := change(tx, env)
	if err != nil || kind == "" {
		return err
	}
	if err := tx.Environments().Update(ctx, env); err != nil {
		return err
	}
	return tx.Events().Append(ctx, &nixspace.Event{
		At: records.Now(), Kind: kind, ProjectID: env.ProjectID, EnvironmentID: env.ID, Actor: actor.Name, Message: message,
	})
}

// UndeleteEnvironment brings the last deleted environment of that name back,
// under another name when as is not empty.
func (a *UseCases) UndeleteEnvironment(ctx context.Context, ref, as string) (*nixspace.Environment, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if as != "" {
		if err := nixspace.CheckName("an environment", as); err != nil {
			return nil, err
		}
	}
	id, err := findDeleted(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	var env *nixspace.Environment
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		var err error
		if env, err = tx.Environments().Lock(ctx, id); err != nil {
			return err
		}
		return a.store(ctx, tx, actor, env, func(tx records.Tx, e *nixspace.Environment) (kind, message string, err error) {
			if e.DeletedAt.IsZero() {
				return "", "", nil // somebody else was quicker
			}
			e.DeletedAt = time.Time{}
			if as != "" {
				e.Name = as
			}
			return "environment.undeleted", "brought back " + e.Ref(), freeOfTags(ctx, tx, e)
		})
	})
	if records.IsCode(err, "environment_exists") {
		return nil, nixspace.Errorf(nixspace.KindExists, "environment_exists", "there is another environment %q by now", env.Ref()).
			WithHint("bring it back under another name with --as")
	}
	return env, err
}

func findDeleted(ctx context.Context, tx records.Tx, ref string) (nixspace.ID, error) {
	if nixspace.ID(ref).Valid() {
		e, err := records.OneEnvironment(ctx, tx, nixspace.ID(ref))
		if err != nil {
			return "", err
		}
		return e.ID, nil
	}
	project, name, ok := records.SplitName(ref)
	if !ok {
		return "", nixspace.Errorf(nixspace.KindInvalid, "reference_invalid", "%.200q does not name an environment", ref).
			WithHint("write NAME or PROJECT/NAME")
	}
	found, err := tx.Environments().Deleted(ctx, project, name)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", nixspace.Errorf(nixspace.KindNotFound, "environment_unknown", "no environment %q was deleted", ref)
	}
	for _, e := range found {
		if e.ProjectID != found[0].ProjectID {
			return "", nixspace.Errorf(nixspace.KindInvalid, "environment_ambiguous", "environments %q of several projects were deleted", ref).
				WithHint("write %s", records.ListOr([]string{found[0].Ref(), e.Ref()}))
		}
	}
	return found[0].ID, nil
}

// freeOfTags makes sure that an environment's name is not a tag's.
func freeOfTags(ctx context.Context, tx records.Tx, e *nixspace.Environment) error {
	found, err := tx.Tags().Named(ctx, e.Project, e.Name)
	if err != nil || len(found) == 0 {
		return err
	}
	return nixspace.Errorf(nixspace.KindExists, "tag_exists", "%s is the name of a tag", e.Ref()).WithHint("choose another name")
}
