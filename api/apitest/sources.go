package apitest

import (
	"context"
	"io"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/fetches"
	"github.com/nixspace/nixspace/env/source"
	"github.com/nixspace/nixspace/env/stack/plan"
)

// Templates lists the templates: there is one.
func (a *App) Templates(ctx context.Context) ([]nixspace.Template, error) {
	unlock, err := a.enter(ctx, "Templates")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return []nixspace.Template{{Name: "node", Description: "A web server in Node.js"}}, nil
}

// SaveTemplate says that it saved one, and keeps nothing.
func (a *App) SaveTemplate(ctx context.Context, in fetches.SaveTemplate) (*nixspace.Template, error) {
	unlock, err := a.enter(ctx, "SaveTemplate")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return &nixspace.Template{Name: in.Name, Description: in.Description, From: in.Ref, Workspace: nixspace.Workspace{Digest: digest(in.Name)}}, nil
}

// DeleteTemplate knows no template that was saved.
func (a *App) DeleteTemplate(ctx context.Context, name string) (*nixspace.Template, error) {
	unlock, err := a.enter(ctx, "DeleteTemplate")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return nil, notFound("template", name)
}

// FetchSource fetches templates at once; other sources are being fetched until they
// are cancelled.
func (a *App) FetchSource(ctx context.Context, in fetches.FetchSource) (*nixspace.SourceFetch, error) {
	unlock, err := a.enter(ctx, "FetchSource")
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := source.Parse(in.Source, in.Ref, in.Dir)
	if err != nil {
		return nil, err
	}
	f := nixspace.SourceFetch{ID: a.id(), Source: s, Private: in.Token != "" || in.Key != "", Status: nixspace.BuildRunning, CreatedAt: a.now(), CreatedBy: Owner.ID}
	f.StartedAt = f.CreatedAt
	if s.Kind == nixspace.SourceTemplate {
		f.Status, f.FinishedAt = nixspace.BuildSucceeded, f.CreatedAt
		f.Code = &nixspace.FetchedCode{Workspace: nixspace.Workspace{Digest: digest(s.Name), Size: 1024, Files: 1}}
	}
	a.fetches = append(a.fetches, f)
	return &f, nil
}

func (a *App) fetch(id nixspace.ID) (*nixspace.SourceFetch, error) {
	f := find(a.fetches, func(f *nixspace.SourceFetch) bool { return f.ID == id })
	if f == nil {
		return nil, notFound("fetch", string(id))
	}
	return f, nil
}

// FetchByID returns a fetch.
func (a *App) FetchByID(ctx context.Context, id nixspace.ID) (*nixspace.SourceFetch, error) {
	unlock, err := a.enter(ctx, "FetchByID")
	if err != nil {
		return nil, err
	}
	defer unlock()
	f, err := a.fetch(id)
	if err != nil {
		return nil, err
	}
	return copied(f), nil
}

// CancelFetch stops a fetch.
func (a *App) CancelFetch(ctx context.Context, id nixspace.ID) (*nixspace.SourceFetch, error) {
	unlock, err := a.enter(ctx, "CancelFetch")
	if err != nil {
		return nil, err
	}
	defer unlock()
	f, err := a.fetch(id)
	if err != nil {
		return nil, err
	}
	if !f.Status.Final() {
		f.Status, f.Error, f.ErrorCode, f.FinishedAt = nixspace.BuildCanceled, "canceled by "+Owner.Name, "canceled", a.now()
	}
	return copied(f), nil
}

// WatchFetch sends a fetch as it stands, and ends.
func (a *App) WatchFetch(ctx context.Context, id nixspace.ID) (<-chan nixspace.SourceUpdate, error) {
	f, err := a.FetchByID(ctx, id)
	if err != nil {
		return nil, err
	}
	ch := make(chan nixspace.SourceUpdate, 1)
	ch <- nixspace.SourceUpdate{Fetch: f}
	close(ch)
	return ch, nil
}

// FlakeManifest finds the same flake in any code.
func (a *App) FlakeManifest(ctx context.Context, in fetches.FlakeQuery) (string, error) {
	unlock, err := a.enter(ctx, "FlakeManifest")
	if err != nil {
		return "", err
	}
	defer unlock()
	if len(in.Workspace) != 64 {
		return "", notFound("workspace", in.Workspace)
	}
	return "[flake.files]\n\"flake.nix\" = \"{ }\"\n", nil
}

// Detect finds Node.js in any code.
func (a *App) Detect(ctx context.Context, workspace, _ string) (*fetches.Detection, error) {
	unlock, err := a.enter(ctx, "Detect")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if len(workspace) != 64 {
		return nil, notFound("workspace", workspace)
	}
	return &fetches.Detection{
		Manifest: "schema = 1\n\n[packages]\nnodejs = \"22\"\n",
		Choices:  []plan.Choice{{Path: "packages.nodejs", Value: "22", Attr: "nodejs_22", Version: "22.20.0", Reason: "`.nvmrc`, line 1, says 22", File: ".nvmrc", Line: 1}},
	}, nil
}

// Unpack implements web.App: it takes anything.
func (a *App) Unpack(ctx context.Context, r io.Reader) (*nixspace.FetchedCode, error) {
	unlock, err := a.enter(ctx, "Unpack")
	if err != nil {
		return nil, err
	}
	defer unlock()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return &nixspace.FetchedCode{Workspace: nixspace.Workspace{Digest: digest(string(b)), Size: int64(len(b)), Files: 1}}, nil
}
