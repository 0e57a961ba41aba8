package guest

import (
	"context"
	"net"
	"reflect"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/listening"
	"github.com/nixspace/nixspace/vm/wire"
)

// lookEvery is how often the agent looks at what no event tells: which ports
// programs listen on, and what runs in the foreground of a terminal.
const lookEvery = 1500 * time.Millisecond

// newsEvery is how often changes are reported at most: somebody may be dragging
// the edge of a window.
const newsEvery = 100 * time.Millisecond

// view reports what goes on in the guest until the stream ends.
func (a *Agent) view(ctx context.Context, conn net.Conn) error {
	if err := wire.Reply(conn, nil); err != nil {
		return nil
	}
	ctx, done := whileOpen(ctx, conn)
	defer done()
	w := wire.NewFrameWriter(conn)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var ports listening.Table
	var last *nixspace.MachineView
	for {
		terminals, changed := a.ptys.statuses()
		now := &nixspace.MachineView{Terminals: terminals, Ports: ports.List()}
		if last == nil || !reflect.DeepEqual(now, last) {
			if err := w.WriteJSON(wire.FrameStatus, now); err != nil {
				return nil
			}
			last = now
			if !sleep(ctx, newsEvery) {
				return nil
			}
		}
		select {
		case <-changed:
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}
