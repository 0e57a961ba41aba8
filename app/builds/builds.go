package builds

import (
	"context"
	"fmt"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// OpenBuild records a build of a version and, unless it can be done at once,
// queues it in the same transaction. A build that can be done at once begins as
// running: see settle.
func (a *UseCases) OpenBuild(ctx context.Context, tx records.Tx, version nixspace.ID, present bool, at time.Time) (*nixspace.Build, error) {
	b := &nixspace.Build{ID: nixspace.NewID(), VersionID: version, Status: nixspace.BuildQueued, CreatedAt: at}
	if present {
		b.Status, b.StartedAt = nixspace.BuildRunning, at
	}
	if err := tx.Builds().Create(ctx, b); err != nil {
		return nil, err
	}
	if !present {
		if err := a.jobs.EnqueueBuild(ctx, records.Plain(tx), b.ID); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// settleLimit bounds how long a request waits for a build of packages that are
// all present. It takes some ten milliseconds; when it does not, the build goes
// on by itself.
const settleLimit = 3 * time.Second

// Settle does a build that openBuild did not queue, in a task of its own, and
// returns it as it is when it is done or the limit has passed. Should the
// process die meanwhile, Reconcile queues it.
func (a *UseCases) Settle(ctx context.Context, b *nixspace.Build) (*nixspace.Build, error) {
	if b.Status != nixspace.BuildRunning {
		return b, nil
	}
	done := make(chan struct{})
	err := a.tasks.Start(ctx, func(ctx context.Context) {
		defer close(done)
		if err := a.RunBuild(ctx, b.ID); err != nil {
			a.log.Warn("a build did not end", "build", b.ID, "error", err)
		}
	})
	if err != nil {
		return b, nil // the version is committed; Reconcile sees to its build
	}
	limit := time.NewTimer(settleLimit)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	case <-ctx.Done():
		return b, nil
	}
	return a.records.Store.Read().Builds().ByID(ctx, b.ID)
}

// Build queues a build of a version, or returns the one that is under way. A
// version that is built, with everything still in the store, is not built again:
// its newest build is returned.
func (a *UseCases) Build(ctx context.Context, versionRef string) (*nixspace.Build, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	_, v, err := records.FindVersion(ctx, tx, versionRef)
	if err != nil {
		return nil, err
	}
	return a.BuildVersion(ctx, tx, v)
}

// BuildVersion is [UseCases.Build] of a version that was read already.
func (a *UseCases) BuildVersion(ctx context.Context, tx records.Tx, v *nixspace.Version) (*nixspace.Build, error) {
	bs, err := tx.Builds().List(ctx, v.ID)
	if err != nil {
		return nil, err
	}
	if len(bs) > 0 && !bs[0].Status.Final() {
		return &bs[0], nil
	}
	if len(bs) > 0 && bs[0].Status == nixspace.BuildSucceeded {
		if _, err := a.Realised(ctx, tx, v); err == nil {
			return &bs[0], nil
		} else if !records.NotFound(err) {
			return nil, err
		}
	}
	present, err := a.Present(ctx, v)
	if err != nil {
		return nil, err
	}
	var b *nixspace.Build
	err = a.records.Write(ctx, func(_ nixspace.Actor, tx records.Tx) error {
		var err error
		b, err = a.OpenBuild(ctx, tx, v.ID, present, records.Now())
		return err
	})
	if records.IsCode(err, "build_open") { // somebody else was quicker
		return NewestBuild(ctx, tx, v.ID)
	}
	if err != nil {
		return nil, err
	}
	return a.Settle(ctx, b)
}

// BuildByID returns a build.
func (a *UseCases) BuildByID(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Builds().ByID(ctx, id)
}

// Builds lists the builds of a version, newest first.
func (a *UseCases) Builds(ctx context.Context, versionRef string) ([]nixspace.Build, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	_, v, err := records.FindVersion(ctx, tx, versionRef)
	if err != nil {
		return nil, err
	}
	return tx.Builds().List(ctx, v.ID)
}

// BuildLog returns at most limit lines of a build's log, those after the
// sequence number after.
func (a *UseCases) BuildLog(ctx context.Context, id nixspace.ID, after int64, limit int) ([]nixspace.BuildLogLine, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > work.LogPage {
		limit = work.LogPage
	}
	if _, err := tx.Builds().ByID(ctx, id); err != nil {
		return nil, err
	}
	return tx.Builds().Log(ctx, id, max(after, 0), limit)
}

// CancelBuild stops a build. One that is final stays as it is.
func (a *UseCases) CancelBuild(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	b, err := tx.Builds().ByID(ctx, id)
	if err != nil || b.Status.Final() {
		return b, err
	}
	err = a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		at := records.Now()
		c := *b
		c.Status, c.FinishedAt = nixspace.BuildCanceled, at
		c.Error, c.ErrorCode = "canceled by "+actor.Name, "canceled"
		moved, err := tx.Builds().Transition(ctx, &c, nixspace.BuildQueued, nixspace.BuildRunning)
		if err != nil || !moved {
			return err
		}
		if err := a.Ended(ctx, tx, &c); err != nil {
			return err
		}
		return a.buildEvent(ctx, tx, actor, &c, "build.canceled", "the build was canceled")
	})
	if err != nil {
		return nil, err
	}
	// The row is final; what still works on it learns so from its context.
	a.building.Stop(ctx, id, work.ErrSuperseded)
	if err := a.jobs.CancelBuild(ctx, id); err != nil {
		a.log.Warn("cannot cancel a build's job", "build", id, "error", err)
	}
	return tx.Builds().ByID(ctx, id)
}

// buildEvent appends an event about a build.
func (a *UseCases) buildEvent(ctx context.Context, tx records.Tx, actor nixspace.Actor, b *nixspace.Build, kind, message string) error {
	v, err := records.OneVersion(ctx, tx, b.VersionID)
	if err != nil {
		return err
	}
	env, err := records.OneEnvironment(ctx, tx, v.EnvironmentID)
	if err != nil {
		return err
	}
	return tx.Events().Append(ctx, &nixspace.Event{
		At: records.Now(), Kind: kind, ProjectID: env.ProjectID, EnvironmentID: env.ID, BuildID: b.ID, Actor: actor.Name,
		Message: env.Ref() + ": " + message, Data: map[string]any{"version": v.VersionHash, "code": b.ErrorCode},
	})
}

// WatchBuild sends the progress and log of a build, from the beginning, until it
// is final or ctx ends; the channel is then closed. The last update of a build
// that is final is its state.
func (a *UseCases) WatchBuild(ctx context.Context, id nixspace.ID) (<-chan nixspace.BuildUpdate, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	notices, err := a.records.Store.Subscribe(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	b, err := tx.Builds().ByID(ctx, id)
	if err != nil {
		cancel()
		return nil, err
	}
	w := &buildWatch{app: a, tx: tx, id: id, out: make(chan nixspace.BuildUpdate), progress: a.progress.Subscribe(id)}
	go func() {
		defer close(w.out)
		defer cancel()
		defer w.progress.Close()
		w.follow(ctx, b, notices)
	}()
	return w.out, nil
}

type buildWatch struct {
	app      *UseCases
	tx       records.Tx
	id       nixspace.ID
	out      chan nixspace.BuildUpdate
	progress *work.ProgressSub
	line     int64 // the last one that was sent
	status   nixspace.BuildStatus
}

func (w *buildWatch) follow(ctx context.Context, b *nixspace.Build, notices <-chan nixspace.Notice) {
	for {
		// The state is read before the log, so that the log of a build that is
		// final is complete; and it is sent after it.
		if !b.Status.Final() && !w.sendState(ctx, b) {
			return
		}
		if !w.sendLog(ctx) || !w.sendProgress(ctx) {
			return
		}
		if b.Status.Final() {
			w.sendState(ctx, b)
			return
		}
		if !w.wait(ctx, notices) {
			return
		}
		next, err := w.tx.Builds().ByID(ctx, w.id)
		if err != nil {
			if ctx.Err() == nil {
				w.app.log.Warn("cannot follow a build", "build", w.id, "error", err)
			}
			return
		}
		b = next
	}
}

// wait passes progress on until something changed in the database.
func (w *buildWatch) wait(ctx context.Context, notices <-chan nixspace.Notice) bool {
	for {
		select {
		case n, open := <-notices:
			if !open {
				return false
			}
			if n.Topic == nixspace.NoticeResync || n == (nixspace.Notice{Topic: nixspace.NoticeBuild, ID: w.id}) {
				return true
			}
		case <-w.progress.Wake:
			if !w.sendProgress(ctx) {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}

func (w *buildWatch) send(ctx context.Context, u nixspace.BuildUpdate) bool {
	select {
	case w.out <- u:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *buildWatch) sendProgress(ctx context.Context) bool {
	for _, p := range w.progress.Take() {
		if !w.send(ctx, nixspace.BuildUpdate{Progress: &p}) {
			return false
		}
	}
	return true
}

func (w *buildWatch) sendState(ctx context.Context, b *nixspace.Build) bool {
	if b.Status == w.status {
		return true
	}
	w.status = b.Status
	return w.send(ctx, nixspace.BuildUpdate{Build: b})
}

func (w *buildWatch) sendLog(ctx context.Context) bool {
	for {
		lines, err := w.tx.Builds().Log(ctx, w.id, w.line, work.LogPage)
		if err != nil {
			if ctx.Err() == nil {
				w.app.log.Warn("cannot read a build's log", "build", w.id, "error", err)
			}
			return false
		}
		for _, l := range lines {
			if !w.send(ctx, nixspace.BuildUpdate{Line: &l}) {
				return false
			}
			w.line = l.Seq
		}
		if len(lines) < work.LogPage {
			return true
		}
	}
}

// NewestBuild returns the newest build of a version; every version has one.
func NewestBuild(ctx context.Context, tx records.Tx, version nixspace.ID) (*nixspace.Build, error) {
	bs, err := tx.Builds().List(ctx, version)
	if err != nil {
		return nil, err
	}
	if len(bs) == 0 {
		return nil, fmt.Errorf("version %s has no build", version)
	}
	return &bs[0], nil
}
