package apitest

import (
	"context"
	"slices"

	"github.com/nixspace/nixspace"
)

// Realisation returns what was built.
func (a *App) Realisation(ctx context.Context, ref string) (*nixspace.Realisation, error) {
	unlock, err := a.enter(ctx, "Realisation")
	if err != nil {
		return nil, err
	}
	defer unlock()
	v, err := a.versionOf(ref)
	if err != nil {
		return nil, err
	}
	b := find(a.builds, func(b *nixspace.Build) bool { return b.VersionID == v.ID && b.Status == nixspace.BuildSucceeded })
	if b == nil {
		return nil, notFound("realisation", ref)
	}
	out := nixspace.StoreDir + "/" + digest(v.ManifestHash)[:32] + "-shop-env"
	return &nixspace.Realisation{
		ManifestHash: v.ManifestHash, DrvPath: out + ".drv", OutPath: out, ClosureDigest: digest(out),
		ClosureSize: 123456789, Paths: 42, RealisedAt: b.FinishedAt,
	}, nil
}

// Build queues a build.
func (a *App) Build(ctx context.Context, ref string) (*nixspace.Build, error) {
	unlock, err := a.enter(ctx, "Build")
	if err != nil {
		return nil, err
	}
	defer unlock()
	v, err := a.versionOf(ref)
	if err != nil {
		return nil, err
	}
	if b := find(a.builds, func(b *nixspace.Build) bool { return b.VersionID == v.ID && !b.Status.Final() }); b != nil {
		return copied(b), nil
	}
	return a.newBuild(v), nil
}

func (a *App) build(id nixspace.ID) (*nixspace.Build, error) {
	b := find(a.builds, func(b *nixspace.Build) bool { return b.ID == id })
	if b == nil {
		return nil, notFound("build", string(id))
	}
	return b, nil
}

// BuildByID returns a build.
func (a *App) BuildByID(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	unlock, err := a.enter(ctx, "BuildByID")
	if err != nil {
		return nil, err
	}
	defer unlock()
	b, err := a.build(id)
	if err != nil {
		return nil, err
	}
	return copied(b), nil
}

// Builds lists the builds of a version.
func (a *App) Builds(ctx context.Context, ref string) ([]nixspace.Build, error) {
	unlock, err := a.enter(ctx, "Builds")
	if err != nil {
		return nil, err
	}
	defer unlock()
	v, err := a.versionOf(ref)
	if err != nil {
		return nil, err
	}
	bs := []nixspace.Build{}
	for _, b := range slices.Backward(a.builds) {
		if b.VersionID == v.ID {
			bs = append(bs, b)
		}
	}
	return bs, nil
}

func logLine(b *nixspace.Build, seq int64) nixspace.BuildLogLine {
	return nixspace.BuildLogLine{BuildID: b.ID, Seq: seq, At: b.CreatedAt, Text: []string{"unpacking", "linking \x1b[31mfiles"}[seq-1]}
}

// BuildLog has two lines.
func (a *App) BuildLog(ctx context.Context, id nixspace.ID, after int64, limit int) ([]nixspace.BuildLogLine, error) {
	unlock, err := a.enter(ctx, "BuildLog")
	if err != nil {
		return nil, err
	}
	defer unlock()
	b, err := a.build(id)
	if err != nil {
		return nil, err
	}
	lines := []nixspace.BuildLogLine{}
	for seq := after + 1; seq <= 2 && len(lines) < limit; seq++ {
		lines = append(lines, logLine(b, seq))
	}
	return lines, nil
}

// CancelBuild ends a build.
func (a *App) CancelBuild(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	unlock, err := a.enter(ctx, "CancelBuild")
	if err != nil {
		return nil, err
	}
	defer unlock()
	b, err := a.build(id)
	if err != nil {
		return nil, err
	}
	if !b.Status.Final() {
		b.Status, b.FinishedAt = nixspace.BuildCanceled, a.now()
	}
	return copied(b), nil
}

// WatchBuild runs the build while it is watched. A build of a version whose
// message is "broken" fails.
func (a *App) WatchBuild(ctx context.Context, id nixspace.ID) (<-chan nixspace.BuildUpdate, error) {
	unlock, err := a.enter(ctx, "WatchBuild")
	if err != nil {
		return nil, err
	}
	b, err := a.build(id)
	if err != nil {
		unlock()
		return nil, err
	}
	begin := *b
	if !b.Status.Final() {
		b.Status, b.StartedAt = nixspace.BuildSucceeded, a.now()
		b.FinishedAt = a.now()
		if a.versionByID(b.VersionID).Message == "broken" {
			b.Status, b.Error, b.ErrorCode = nixspace.BuildFailed, "postgresql_15 does not start", "smoke_failed"
		}
	}
	end := *b
	unlock()
	one, two := logLine(&end, 1), logLine(&end, 2)
	updates := []nixspace.BuildUpdate{
		{Build: &begin},
		{Progress: &nixspace.Progress{Job: "postgresql_15", Phase: "fetch", Done: 1000, Total: 2000, Unit: "B"}},
		{Line: &one},
		{Progress: &nixspace.Progress{Job: "postgresql_15", Phase: "fetch", Done: 2000, Total: 2000, Unit: "B", Final: true}},
		{Line: &two},
		{Build: &end},
	}
	return watch(ctx, a, func(emit func(nixspace.BuildUpdate) bool) {
		for _, u := range updates {
			if !emit(u) {
				return
			}
		}
	}), nil
}
