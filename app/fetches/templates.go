package fetches

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/source"
)

// maxDescription bounds what a template is described with, in bytes.
const maxDescription = 200

// SaveTemplate asks for a template that begins where an environment is.
type SaveTemplate struct {
	Name        string
	Ref         string // an environment or version
	Description string // one line; made up when empty
}

// Templates lists the templates, those that NixSpace brings and those that people
// saved, by name.
func (u *UseCases) Templates(ctx context.Context) ([]nixspace.Template, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	saved, err := tx.Templates().List(ctx)
	if err != nil {
		return nil, err
	}
	all := append(slices.Clone(u.cfg.Templates), saved...)
	slices.SortFunc(all, func(a, b nixspace.Template) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// SaveTemplate makes a template of an environment: the project's code, with the
// version's manifest. What is in sessions is no part of it, nor is the history of
// the environment.
func (u *UseCases) SaveTemplate(ctx context.Context, in SaveTemplate) (*nixspace.Template, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if u.cfg.Trees == nil {
		return nil, missing()
	}
	if _, err := source.Parse("template:"+in.Name, "", ""); err != nil {
		return nil, err
	}
	if err := records.CheckText("the description", in.Description, maxDescription); err != nil {
		return nil, err
	}
	if u.brings(in.Name) {
		return nil, nixspace.Errorf(nixspace.KindExists, "template_exists", "NixSpace itself brings a template %q", in.Name).WithHint("choose another name")
	}
	env, v, err := records.FindVersion(ctx, tx, in.Ref)
	if err != nil {
		return nil, err
	}
	code, err := tx.Code().Of(ctx, env.ID)
	if err != nil {
		return nil, err
	}
	ws, err := u.cfg.Trees.WithFile(ctx, code.Workspace, manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return nil, err
	}
	t := &nixspace.Template{
		Name: in.Name, Description: cmp.Or(in.Description, "As "+env.Ref()), Workspace: ws,
		From: fmt.Sprintf("%s@%.12s", env.Ref(), v.VersionHash), CreatedAt: records.Now(),
	}
	return t, u.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		t.CreatedBy = actor.ID
		if err := tx.Templates().Create(ctx, t); err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: t.CreatedAt, Kind: "template.saved", ProjectID: env.ProjectID, EnvironmentID: env.ID, Actor: actor.Name,
			Message: fmt.Sprintf("saved %s as the template %s", env.Ref(), t.Name), Data: map[string]any{"template": t.Name, "version": v.VersionHash},
		})
	})
}

// DeleteTemplate deletes a template that somebody saved. Projects that began with
// it are what they are.
func (u *UseCases) DeleteTemplate(ctx context.Context, name string) (*nixspace.Template, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if u.brings(name) {
		return nil, nixspace.Errorf(nixspace.KindForbidden, "template_own", "NixSpace itself brings the template %q, and it cannot be deleted", name)
	}
	t, err := tx.Templates().ByName(ctx, name)
	if err != nil {
		return nil, err
	}
	return t, u.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		if err := tx.Templates().Delete(ctx, name); err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: records.Now(), Kind: "template.deleted", Actor: actor.Name, Message: "deleted the template " + name, Data: map[string]any{"template": name},
		})
	})
}

// brings reports whether a template is one of NixSpace's own.
func (u *UseCases) brings(name string) bool {
	return slices.ContainsFunc(u.cfg.Templates, func(t nixspace.Template) bool { return t.Name == name })
}

// saved returns the code of a template that somebody saved.
func (u *UseCases) saved(ctx context.Context, name string) (*nixspace.FetchedCode, error) {
	t, err := u.cfg.Records.Store.Read().Templates().ByName(ctx, name)
	if records.NotFound(err) {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "template_unknown", "there is no template %q", name).
			WithHint("see those that there are with: nixspace templates")
	}
	if err != nil {
		return nil, err
	}
	return &nixspace.FetchedCode{Workspace: t.Workspace}, nil
}
