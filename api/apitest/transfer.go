package apitest

import (
	"context"
	"io"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/transfer"
)

// Export implements web.App: nothing can be exported.
func (a *App) Export(ctx context.Context, in transfer.ExportQuery) (*transfer.Export, error) {
	unlock, err := a.enter(ctx, "Export")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := a.versionOf(in.Ref); err != nil {
		return nil, err
	}
	return nil, nixspace.Errorf(nixspace.KindInvalid, "not_built", "%s has not been built", in.Ref)
}

// Import implements web.App: it takes any file for the environment shop.
func (a *App) Import(ctx context.Context, file io.ReadSeeker, in transfer.ImportQuery) (*transfer.Imported, error) {
	unlock, err := a.enter(ctx, "Import")
	if err != nil {
		return nil, err
	}
	defer unlock()
	b, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	env, err := a.environment("shop")
	if err != nil {
		return nil, err
	}
	made := *env
	if in.As != "" {
		made.Name = in.As
	}
	return &transfer.Imported{Environment: &made, Version: a.versionByID(env.Head), Build: &a.builds[0], Paths: len(b)}, nil
}
