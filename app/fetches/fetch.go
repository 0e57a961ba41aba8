package fetches

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
	"github.com/nixspace/nixspace/env/source"
)

// FetchSource asks for the code of a source.
type FetchSource struct {
	Source string // an address, or template:NAME
	Ref    string // a branch, tag or commit, in place of the one that Source names
	Dir    string // a folder of it
	// Submodules asks for the submodules of a repository, too.
	Submodules bool
	// User and Token, or Key (a private key of ssh's), open a private source. They
	// are kept in memory until the fetch has ended.
	User, Token, Key string
}

// Bounds of credentials, in bytes.
const (
	maxToken = 8 << 10
	maxKey   = 32 << 10
)

// FetchSource queues a fetch. It fails with kind invalid where the source cannot be
// understood; what goes wrong later is in the fetch.
func (u *UseCases) FetchSource(ctx context.Context, in FetchSource) (*nixspace.SourceFetch, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nil, err
	}
	if u.cfg.Fetcher == nil || u.cfg.Jobs == nil {
		return nil, missing()
	}
	src, err := source.Parse(in.Source, in.Ref, in.Dir)
	if err != nil {
		return nil, err
	}
	if in.Submodules && src.Kind != nixspace.SourceGit {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "source_submodules", "only a repository has submodules")
	}
	src.Submodules = in.Submodules
	cred := nixspace.SourceCredentials{User: in.User, Token: in.Token, Key: []byte(in.Key)}
	if len(in.Token) > maxToken || len(in.User) > 255 || len(in.Key) > maxKey || cred.Empty() && in.User != "" || in.Token != "" && in.Key != "" {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "source_credentials", "the credentials cannot be used").
			WithHint("give a token, with or without a user name, or a deploy key")
	}
	f := &nixspace.SourceFetch{ID: nixspace.NewID(), Source: src, Private: !cred.Empty(), Status: nixspace.BuildQueued, CreatedAt: records.Now()}
	if f.Private {
		u.keep(f.ID, cred)
	}
	err = u.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		f.CreatedBy = actor.ID
		if err := tx.Fetches().Create(ctx, f); err != nil {
			return err
		}
		return u.cfg.Jobs.EnqueueFetch(ctx, records.Plain(tx), f.ID)
	})
	if err != nil {
		u.forget(f.ID)
		return nil, err
	}
	return f, nil
}

// FetchByID returns a fetch.
func (u *UseCases) FetchByID(ctx context.Context, id nixspace.ID) (*nixspace.SourceFetch, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Fetches().ByID(ctx, id)
}

// RunFetch does the work of a queued fetch. It is what the job calls, and like
// RunBuild it can be called again: an error means that the outcome could not be
// recorded, or that ctx ended.
func (u *UseCases) RunFetch(ctx context.Context, id nixspace.ID) error {
	ctx = nixspace.AsSystem(ctx)
	tx := u.cfg.Records.Store.Read()
	var f *nixspace.SourceFetch
	var code *nixspace.FetchedCode
	return u.fetching.Run(ctx, id, work.Attempt{
		What: "fetch",
		Claim: func(ctx context.Context) (_ bool, err error) {
			f, err = tx.Fetches().ByID(ctx, id)
			switch {
			case err != nil || f.Status.Final():
				u.forget(id)
				return false, err
			case f.Status != nixspace.BuildQueued:
				return true, nil
			}
			f.Status, f.StartedAt = nixspace.BuildRunning, records.Now()
			return tx.Fetches().Transition(ctx, f, nixspace.BuildQueued)
		},
		Do: func(ctx context.Context) (err error) {
			defer u.cfg.Progress.Forget(id)
			code, err = u.fetch(ctx, f)
			return err
		},
		Requeue: func(ctx context.Context) error {
			f.Status, f.StartedAt = nixspace.BuildQueued, time.Time{}
			_, err := tx.Fetches().Transition(ctx, f, nixspace.BuildRunning)
			return err
		},
		Finish: func(ctx context.Context, err error) error {
			u.forget(id)
			return u.finish(ctx, f, code, err)
		},
	})
}

// finish records how a fetch ended: with code, or with an error.
func (u *UseCases) finish(ctx context.Context, f *nixspace.SourceFetch, code *nixspace.FetchedCode, err error) error {
	f.FinishedAt, f.Status, f.Code = records.Now(), nixspace.BuildSucceeded, code
	kind, message := "source.fetched", "fetched "+f.Source.String()
	if err != nil {
		f.Status = nixspace.BuildFailed
		f.Error, f.ErrorCode = work.Explain(u.cfg.Log, "fetch "+string(f.ID), err)
		kind, message = "source.failed", "could not fetch "+f.Source.String()
	}
	return u.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		moved, err := tx.Fetches().Transition(ctx, f, nixspace.BuildRunning)
		if err != nil || !moved {
			return err
		}
		return u.event(ctx, tx, actor, f, kind, message)
	})
}

func (u *UseCases) fetch(ctx context.Context, f *nixspace.SourceFetch) (*nixspace.FetchedCode, error) {
	if f.Source.Kind == nixspace.SourceTemplate && !u.brings(f.Source.Name) {
		return u.saved(ctx, f.Source.Name)
	}
	cred, known := u.take(f.ID)
	if f.Private && !known {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "credentials_gone", "the server was started again, and keeps nobody's token").
			WithHint("fetch it again, with the token or key")
	}
	return u.cfg.Fetcher.Fetch(ctx, f.Source, cred, func(p nixspace.Progress) { u.cfg.Progress.Publish(f.ID, p) })
}

func (u *UseCases) event(ctx context.Context, tx records.Tx, actor nixspace.Actor, f *nixspace.SourceFetch, kind, message string) error {
	data := map[string]any{"fetch": string(f.ID), "code": f.ErrorCode}
	if f.Code != nil {
		data["commit"], data["workspace"] = f.Code.Commit, f.Code.Workspace.Digest
	}
	return tx.Events().Append(ctx, &nixspace.Event{At: records.Now(), Kind: kind, Actor: actor.Name, Message: message, Data: data})
}

// CancelFetch stops a fetch. One that is final stays as it is.
func (u *UseCases) CancelFetch(ctx context.Context, id nixspace.ID) (*nixspace.SourceFetch, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	f, err := tx.Fetches().ByID(ctx, id)
	if err != nil || f.Status.Final() {
		return f, err
	}
	err = u.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		c := *f
		c.Status, c.FinishedAt = nixspace.BuildCanceled, records.Now()
		c.Error, c.ErrorCode = "canceled by "+actor.Name, "canceled"
		moved, err := tx.Fetches().Transition(ctx, &c, nixspace.BuildQueued, nixspace.BuildRunning)
		if err != nil || !moved {
			return err
		}
		return u.event(ctx, tx, actor, &c, "source.canceled", "canceled the fetch of "+c.Source.String())
	})
	if err != nil {
		return nil, err
	}
	u.forget(id)
	u.fetching.Stop(ctx, id, work.ErrSuperseded)
	if err := u.cfg.Jobs.CancelFetch(ctx, id); err != nil {
		u.cfg.Log.Warn("cannot cancel a fetch's job", "fetch", id, "error", err)
	}
	return tx.Fetches().ByID(ctx, id)
}

// Reconcile queues again every fetch that is not final.
func (u *UseCases) Reconcile(ctx context.Context) error {
	if u.cfg.Jobs == nil {
		return nil
	}
	open, err := u.cfg.Records.Store.Read().Fetches().Open(ctx)
	if err != nil {
		return err
	}
	for _, f := range open {
		err := u.cfg.Records.Write(ctx, func(_ nixspace.Actor, tx records.Tx) error {
			if f.Status == nixspace.BuildRunning {
				f.Status, f.StartedAt = nixspace.BuildQueued, time.Time{}
				if moved, err := tx.Fetches().Transition(ctx, &f, nixspace.BuildRunning); err != nil || !moved {
					return err
				}
			}
			return u.cfg.Jobs.EnqueueFetch(ctx, records.Plain(tx), f.ID)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// WatchFetch sends the progress of a fetch until it is final or ctx ends; the
// channel is then closed. Its last update is its state.
func (u *UseCases) WatchFetch(ctx context.Context, id nixspace.ID) (<-chan nixspace.SourceUpdate, error) {
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
	f, err := tx.Fetches().ByID(ctx, id)
	if err != nil {
		cancel()
		return nil, err
	}
	out := make(chan nixspace.SourceUpdate)
	progress := u.cfg.Progress.Subscribe(id)
	send := func(s nixspace.SourceUpdate) bool {
		select {
		case out <- s:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(out)
		defer cancel()
		defer progress.Close()
		var told nixspace.BuildStatus
		for {
			if f.Status != told {
				if told = f.Status; !send(nixspace.SourceUpdate{Fetch: f}) || f.Status.Final() {
					return
				}
			}
			select {
			case n, open := <-notices:
				if !open {
					return
				}
				if n.Topic != nixspace.NoticeResync && n != (nixspace.Notice{Topic: nixspace.NoticeFetch, ID: id}) {
					continue
				}
			case <-progress.Wake:
				for _, p := range progress.Take() {
					if !send(nixspace.SourceUpdate{Progress: &p}) {
						return
					}
				}
				continue
			case <-ctx.Done():
				return
			}
			if f, err = tx.Fetches().ByID(ctx, id); err != nil {
				if ctx.Err() == nil {
					u.cfg.Log.Warn("cannot follow a fetch", "fetch", id, "error", err)
				}
				return
			}
		}
	}()
	return out, nil
}
