// Package advice says what could be better about environments.
package advice

import (
	"context"
	"io"
	"io/fs"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/closure"
	"github.com/nixspace/nixspace/env/stack"
	"github.com/nixspace/nixspace/env/suggest"
)

// Tree is stored code as a file system. Whoever opens it closes it.
type Tree interface {
	fs.FS
	io.Closer
}

// Trees opens stored code. It fails with kind not_found where there is none.
type Trees func(ctx context.Context, digest string) (Tree, error)

// UseCases are the use cases about what could be better. They are safe for
// concurrent use.
type UseCases struct {
	records  *records.Records
	packages builds.Packages
	trees    Trees
	now      func() time.Time
}

// New returns the use cases. Without trees, suggestions look at environments alone.
func New(r *records.Records, p builds.Packages, trees Trees) *UseCases {
	return &UseCases{records: r, packages: p, trees: trees, now: time.Now}
}

// Suggestions returns what could be better about a version, and about how it fits
// the environment's code, the most pressing first. See [suggest.For].
func (u *UseCases) Suggestions(ctx context.Context, ref string) ([]suggest.Suggestion, error) {
	tx, err := u.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	env, v, err := records.FindVersion(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	project, err := tx.Projects().ByID(ctx, env.ProjectID)
	if err != nil {
		return nil, err
	}
	resolved, err := records.Restore(v)
	if err != nil {
		return nil, err
	}
	in := suggest.Input{Resolved: resolved, Name: project.Slug, Now: u.now()}
	own, err := tx.Code().Of(ctx, env.ID)
	if err != nil {
		return nil, err
	}
	if in.Code, err = u.code(ctx, own.Workspace); err != nil {
		return nil, err
	}
	if in.Offers, err = u.packages.Offers(ctx); err != nil {
		return nil, err
	}
	if in.Closure, err = u.closure(ctx, tx, v); err != nil {
		return nil, err
	}
	return suggest.For(in)
}

// closure returns what was built of a version; nil where nothing was.
func (u *UseCases) closure(ctx context.Context, tx records.Tx, v *nixspace.Version) (*suggest.Closure, error) {
	if _, err := tx.Versions().Realisation(ctx, v.DrvPath); err != nil {
		if records.NotFound(err) {
			err = nil
		}
		return nil, err
	}
	c, err := records.Canonical(v)
	if err != nil {
		return nil, err
	}
	infos, err := u.packages.Closure(ctx, v.OutPath, c.Base)
	if records.NotFound(err) {
		return nil, nil // collected since
	}
	if err != nil {
		return nil, err
	}
	g, err := closure.New(infos)
	if err != nil {
		return nil, err
	}
	return &suggest.Closure{Graph: g, Size: closure.Size(infos), Base: c.Base}, nil
}

// code says what stored code needs; nil where there is none.
func (u *UseCases) code(ctx context.Context, digest string) (*stack.Report, error) {
	if digest == "" || u.trees == nil {
		return nil, nil
	}
	tree, err := u.trees(ctx, digest)
	if nixspace.ErrorKind(err) == nixspace.KindNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	report, err := stack.Detect(tree)
	return &report, err
}
