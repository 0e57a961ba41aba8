package records

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
)

type scopedCode struct{ s *scope }

// Of shows where code is from to those who may read definitions, and the digest, by
// which the code can be had, to those who may see what runs.
func (c scopedCode) Of(ctx context.Context, environment nixspace.ID) (*nixspace.EnvironmentCode, error) {
	if err := c.s.environment(ctx, environment, nixspace.RoleGuest, "environment", string(environment)); err != nil {
		return nil, err
	}
	code, err := c.s.raw().Code().Of(ctx, environment)
	if err == nil && c.s.environment(ctx, environment, nixspace.RoleViewer, "environment", "") != nil {
		code.Workspace, code.Fetch = "", nil
	}
	return code, err
}

func (c scopedCode) Put(ctx context.Context, environment nixspace.ID, workspace, source string, at time.Time) error {
	if err := c.s.environment(ctx, environment, nixspace.RoleDeveloper, "environment", string(environment)); err != nil {
		return err
	}
	return c.s.raw().Code().Put(ctx, environment, workspace, source, at)
}

func (c scopedCode) Inherit(ctx context.Context, heir, origin nixspace.ID) error {
	if err := c.s.environment(ctx, heir, nixspace.RoleDeveloper, "environment", string(heir)); err != nil {
		return err
	}
	if err := c.s.environment(ctx, origin, nixspace.RoleViewer, "environment", string(origin)); err != nil {
		return err
	}
	return c.s.raw().Code().Inherit(ctx, heir, origin)
}

// FetchOf is for those who know the digest, and so may have the code.
func (c scopedCode) FetchOf(ctx context.Context, workspace string) (*nixspace.SourceFetch, error) {
	return c.s.raw().Code().FetchOf(ctx, workspace)
}

type scopedPrebuilds struct{ s *scope }

func (p scopedPrebuilds) Create(ctx context.Context, prebuild *nixspace.Prebuild) error {
	if err := p.s.environment(ctx, prebuild.EnvironmentID, nixspace.RoleDeveloper, "environment", string(prebuild.EnvironmentID)); err != nil {
		return err
	}
	return p.s.raw().Prebuilds().Create(ctx, prebuild)
}

// named checks what was found.
func (p scopedPrebuilds) named(ctx context.Context, found *nixspace.Prebuild, err error, least nixspace.Role) (*nixspace.Prebuild, error) {
	if err != nil {
		return nil, err
	}
	if err := p.s.environment(ctx, found.EnvironmentID, least, "prebuild", string(found.ID)); err != nil {
		return nil, err
	}
	return found, nil
}

func (p scopedPrebuilds) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Prebuild, error) {
	found, err := p.s.raw().Prebuilds().ByID(ctx, id)
	return p.named(ctx, found, err, nixspace.RoleViewer)
}

func (p scopedPrebuilds) List(ctx context.Context, f nixspace.PrebuildFilter) ([]nixspace.Prebuild, error) {
	found, err := p.s.raw().Prebuilds().List(ctx, f)
	if err != nil {
		return nil, err
	}
	return keep(ctx, p.s, found, nixspace.RoleViewer, func(x *nixspace.Prebuild) nixspace.ID { return x.EnvironmentID })
}

func (p scopedPrebuilds) Transition(ctx context.Context, prebuild *nixspace.Prebuild, from ...nixspace.BuildStatus) (bool, error) {
	if _, err := p.named(ctx, prebuild, nil, nixspace.RoleDeveloper); err != nil {
		return false, err
	}
	return p.s.raw().Prebuilds().Transition(ctx, prebuild, from...)
}

func (p scopedPrebuilds) Delete(ctx context.Context, id nixspace.ID) error {
	found, err := p.s.raw().Prebuilds().ByID(ctx, id)
	if _, err := p.named(ctx, found, err, nixspace.RoleDeveloper); err != nil {
		return err
	}
	return p.s.raw().Prebuilds().Delete(ctx, id)
}

// Best finds none where the best is one of an environment that cannot be seen.
func (p scopedPrebuilds) Best(ctx context.Context, like *nixspace.Prebuild) (*nixspace.Prebuild, error) {
	found, err := p.s.raw().Prebuilds().Best(ctx, like)
	return p.named(ctx, found, err, nixspace.RoleGuest)
}

func (p scopedPrebuilds) Of(ctx context.Context, snapshot nixspace.ID) (*nixspace.Prebuild, error) {
	found, err := p.s.raw().Prebuilds().Of(ctx, snapshot)
	return p.named(ctx, found, err, nixspace.RoleViewer)
}

func (p scopedPrebuilds) Use(ctx context.Context, id, session nixspace.ID, earlier bool, at time.Time) error {
	found, err := p.s.raw().Prebuilds().ByID(ctx, id)
	if _, err := p.named(ctx, found, err, nixspace.RoleDeveloper); err != nil {
		return err
	}
	return p.s.raw().Prebuilds().Use(ctx, id, session, earlier, at)
}

func (p scopedPrebuilds) BeganFrom(ctx context.Context, session nixspace.ID) (*nixspace.Prebuild, bool, error) {
	found, earlier, err := p.s.raw().Prebuilds().BeganFrom(ctx, session)
	found, err = p.named(ctx, found, err, nixspace.RoleViewer)
	return found, earlier, err
}

func (p scopedPrebuilds) AppendLog(context.Context, []nixspace.BuildLogLine) error {
	return nixspace.Errorf(nixspace.KindForbidden, "operation_forbidden", "only the server writes the logs of prebuilds")
}

func (p scopedPrebuilds) Log(ctx context.Context, id nixspace.ID, after int64, limit int) ([]nixspace.BuildLogLine, error) {
	if _, err := p.ByID(ctx, id); err != nil {
		return nil, err
	}
	return p.s.raw().Prebuilds().Log(ctx, id, after, limit)
}
