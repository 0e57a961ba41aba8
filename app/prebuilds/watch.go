package prebuilds

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// WatchPrebuild sends the progress and log of a prebuild, from the beginning, until
// it is final or ctx ends; the channel is then closed. The last update of one that is
// final is its state.
func (u *UseCases) WatchPrebuild(ctx context.Context, id nixspace.ID) (<-chan nixspace.PrebuildUpdate, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	notices, err := u.cfg.Records.Store.Subscribe(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	p, err := tx.Prebuilds().ByID(ctx, id)
	if err != nil {
		cancel()
		return nil, err
	}
	w := &watch{cases: u, tx: tx, id: id, out: make(chan nixspace.PrebuildUpdate), progress: u.cfg.Progress.Subscribe(id)}
	go func() {
		defer close(w.out)
		defer cancel()
		defer w.progress.Close()
		w.follow(ctx, p, notices)
	}()
	return w.out, nil
}

type watch struct {
	cases    *UseCases
	tx       records.Tx
	id       nixspace.ID
	out      chan nixspace.PrebuildUpdate
	progress *work.ProgressSub
	line     int64 // the last one that was sent
	status   nixspace.BuildStatus
}

func (w *watch) follow(ctx context.Context, p *nixspace.Prebuild, notices <-chan nixspace.Notice) {
	for {
		// The state is read before the log, so that the log of one that is final is
		// complete; and it is sent after it.
		if !p.Status.Final() && !w.state(ctx, p) || !w.log(ctx) || !w.news(ctx) {
			return
		}
		if p.Status.Final() {
			w.state(ctx, p)
			return
		}
		if !w.wait(ctx, notices) {
			return
		}
		next, err := w.tx.Prebuilds().ByID(ctx, w.id)
		if err != nil {
			if ctx.Err() == nil && !records.NotFound(err) {
				w.cases.cfg.Log.Warn("cannot follow a prebuild", "prebuild", w.id, "error", err)
			}
			return
		}
		p = next
	}
}

// wait passes progress on until something changed in the database.
func (w *watch) wait(ctx context.Context, notices <-chan nixspace.Notice) bool {
	for {
		select {
		case n, open := <-notices:
			if !open {
				return false
			}
			if n.Topic == nixspace.NoticeResync || n == (nixspace.Notice{Topic: nixspace.NoticePrebuild, ID: w.id}) {
				return true
			}
		case <-w.progress.Wake:
			if !w.news(ctx) {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}

func (w *watch) send(ctx context.Context, n nixspace.PrebuildUpdate) bool {
	select {
	case w.out <- n:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *watch) news(ctx context.Context) bool {
	for _, p := range w.progress.Take() {
		if !w.send(ctx, nixspace.PrebuildUpdate{Progress: &p}) {
			return false
		}
	}
	return true
}

func (w *watch) state(ctx context.Context, p *nixspace.Prebuild) bool {
	if p.Status == w.status {
		return true
	}
	w.status = p.Status
	return w.send(ctx, nixspace.PrebuildUpdate{Prebuild: p})
}

func (w *watch) log(ctx context.Context) bool {
	for {
		lines, err := w.tx.Prebuilds().Log(ctx, w.id, w.line, work.LogPage)
		if err != nil {
			if ctx.Err() == nil {
				w.cases.cfg.Log.Warn("cannot read a prebuild's log", "prebuild", w.id, "error", err)
			}
			return false
		}
		for _, l := range lines {
			if !w.send(ctx, nixspace.PrebuildUpdate{Line: &l}) {
				return false
			}
			w.line = l.Seq
		}
		if len(lines) < work.LogPage {
			return true
		}
	}
}
