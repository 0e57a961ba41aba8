package qemu

import (
	"context"
	"net"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/wire"
)

// transport reaches the agent over two virtio-serial ports, each of which ends
// in a socket pair of which QEMU holds the other end.
type transport struct {
	link    *wire.Link
	machine *instance
}

var _ vm.Transport = (*transport)(nil)

func (t *transport) Open(ctx context.Context) (net.Conn, error) {
	conn, err := t.link.Open(ctx)
	if err != nil {
		return nil, t.explain(ctx, err)
	}
	return conn, nil
}

func (t *transport) Reset(ctx context.Context) error {
	if err := t.link.Reset(ctx); err != nil {
		return t.explain(ctx, err)
	}
	return nil
}

// explain replaces the error of a channel that broke because the machine ended
// by the reason why the machine ended, which follows within moments.
func (t *transport) explain(ctx context.Context, err error) error {
	if nixspace.ErrorCode(err) != "machine_lost" || ctx.Err() != nil {
		return err
	}
	wait := time.NewTimer(time.Second)
	defer wait.Stop()
	select {
	case <-t.machine.done:
		if cause := t.machine.Err(); cause != nil {
			return cause
		}
	case <-wait.C:
	case <-ctx.Done():
	}
	return err
}
