package guest

import (
	"context"
	"io"
	"net"
	"sync"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/relay"
	"github.com/nixspace/nixspace/vm/wire"
)

// logs sends a log, and with follow what is added to it.
func (a *Agent) logs(ctx context.Context, conn net.Conn, r wire.LogsRequest) error {
	l := a.journal.Find(r.Service)
	if l == nil {
		return nixspace.Errorf(nixspace.KindNotFound, "service_unknown", "the machine has no service %q", r.Service)
	}
	if err := wire.Reply(conn, nil); err != nil {
		return nil
	}
	ctx, done := whileOpen(ctx, conn)
	defer done()
	w := wire.NewFrameWriter(conn)
	offset := int64(0)
	for {
		p, next, more := l.From(offset, wire.MaxFrame)
		offset = next
		if len(p) > 0 {
			if w.Write(wire.FrameOut, p) != nil {
				return nil
			}
			continue
		}
		if !r.Follow {
			_ = w.WriteJSON(wire.FrameResult, struct{}{})
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

// whileOpen returns a context that ends with the stream too. Nothing may be read
// from the stream meanwhile. The function frees it and ends the stream.
func whileOpen(ctx context.Context, conn net.Conn) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, conn)
	})
	return ctx, func() {
		cancel()
		relay.Cut(conn)
		reader.Wait()
	}
}
