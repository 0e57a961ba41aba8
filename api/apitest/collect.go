package apitest

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/collect"
)

// CollectGarbage finds one layer.
func (a *App) CollectGarbage(ctx context.Context, in collect.CollectGarbage) (*collect.Collection, error) {
	unlock, err := a.enter(ctx, "CollectGarbage")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return &collect.Collection{DryRun: in.DryRun, Size: 7, Items: []nixspace.Garbage{
		{Kind: nixspace.GarbageLayer, Name: "abc", Reason: "nothing needs it", Size: 7, LastUsed: a.now(), Removed: !in.DryRun},
	}}, nil
}
