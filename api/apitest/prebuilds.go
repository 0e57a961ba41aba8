package apitest

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/prebuilds"
)

// prebuild is the only one there is: of shop, and good.
func (a *App) prebuild() *nixspace.Prebuild {
	at := a.now()
	return &nixspace.Prebuild{
		ID: "33333333-3333-4333-8333-333333333333", Key: digest("prebuild"), ProjectID: a.projects[0].ID, EnvironmentID: a.environments[0].ID,
		VersionID: a.versions[0].ID, Environment: "shop/shop", Workspace: digest("code"), ManifestHash: a.versions[0].ManifestHash,
		Status: nixspace.BuildSucceeded, CreatedAt: at, StartedAt: at, FinishedAt: at, UsedAt: at,
	}
}

// RequestPrebuild finds that it was done.
func (a *App) RequestPrebuild(ctx context.Context, _ string, _ bool) (*nixspace.Prebuild, error) {
	unlock, err := a.enter(ctx, "RequestPrebuild")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return a.prebuild(), nil
}

// Prebuilds lists the only one.
func (a *App) Prebuilds(ctx context.Context, _ string) ([]nixspace.Prebuild, error) {
	unlock, err := a.enter(ctx, "Prebuilds")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return []nixspace.Prebuild{*a.prebuild()}, nil
}

// PrebuildByID knows the only one.
func (a *App) PrebuildByID(ctx context.Context, id nixspace.ID) (*nixspace.Prebuild, error) {
	unlock, err := a.enter(ctx, "PrebuildByID")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if p := a.prebuild(); p.ID == id {
		return p, nil
	}
	return nil, notFound("prebuild", string(id))
}

// PrebuildLog has one line.
func (a *App) PrebuildLog(ctx context.Context, id nixspace.ID, after int64, _ int) ([]nixspace.BuildLogLine, error) {
	if _, err := a.PrebuildByID(ctx, id); err != nil || after > 0 {
		return nil, err
	}
	return []nixspace.BuildLogLine{{BuildID: id, Seq: 1, At: a.prebuild().CreatedAt, Text: "$ npm ci"}}, nil
}

// CancelPrebuild finds that it has ended.
func (a *App) CancelPrebuild(ctx context.Context, id nixspace.ID) (*nixspace.Prebuild, error) {
	return a.PrebuildByID(ctx, id)
}

// RemovePrebuild says that it did.
func (a *App) RemovePrebuild(ctx context.Context, id nixspace.ID) (*nixspace.Prebuild, error) {
	return a.PrebuildByID(ctx, id)
}

// WatchPrebuild sends a prebuild as it stands, and ends.
func (a *App) WatchPrebuild(ctx context.Context, id nixspace.ID) (<-chan nixspace.PrebuildUpdate, error) {
	p, err := a.PrebuildByID(ctx, id)
	if err != nil {
		return nil, err
	}
	ch := make(chan nixspace.PrebuildUpdate, 1)
	ch <- nixspace.PrebuildUpdate{Prebuild: p}
	close(ch)
	return ch, nil
}

// Prepared says that shop is.
func (a *App) Prepared(ctx context.Context, _ string) (*prebuilds.Preparation, error) {
	unlock, err := a.enter(ctx, "Prepared")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return &prebuilds.Preparation{Prebuild: a.prebuild(), Source: "shop"}, nil
}

// BeganFrom says that no session began from a prebuild.
func (a *App) BeganFrom(ctx context.Context, _ *nixspace.Session) (*nixspace.Prebuild, bool, error) {
	unlock, err := a.enter(ctx, "BeganFrom")
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	return nil, false, nil
}

// CommitOf knows no commit.
func (a *App) CommitOf(context.Context, *nixspace.Prebuild) (string, error) { return "", nil }
