package apptest

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
)

var _ builds.Seeder = (*Packages)(nil)

// Seed makes a path of what it is made from. It fails where Fail says so.
func (p *Packages) Seed(_ context.Context, r builds.SeedRequest, _ nixspace.ProgressFunc) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return "", p.fail
	}
	text := r.Base + r.Script
	for _, part := range append(r.Uses, r.Args...) {
		text += " " + part
	}
	out := storePath(text, r.Name)
	p.roots[r.Root] = out
	return out, nil
}
