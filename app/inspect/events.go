package inspect

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/work"
)

// eventPage is how many events are read at a time.
const eventPage = 500

// WatchEvents sends events as they happen, those after the sequence number
// after first (0 for none of the past, -n for the last n or fewer), until ctx
// ends.
func (a *UseCases) WatchEvents(ctx context.Context, after int64) (<-chan nixspace.Event, error) {
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
	if after <= 0 {
		last, err := tx.Events().Last(ctx)
		if err != nil {
			cancel()
			return nil, err
		}
		after = max(0, last+after)
	}
	out := make(chan nixspace.Event)
	go func() {
		defer close(out)
		defer cancel()
		for {
			page, err := tx.Events().After(ctx, after, eventPage)
			if err != nil && ctx.Err() == nil {
				a.log.Warn("cannot read events", "error", err)
			}
			for _, e := range page {
				select {
				case out <- e:
					after = e.Seq
				case <-ctx.Done():
					return
				}
			}
			if len(page) == eventPage {
				continue
			}
			if !work.NextNotice(ctx, notices, func(n nixspace.Notice) bool { return n.Topic == nixspace.NoticeEvent }) {
				return
			}
		}
	}()
	return out, nil
}
