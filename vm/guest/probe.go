package guest

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// probeTimeout bounds one look at a service. Processors that are emulated on a
// busy host are slow.
const probeTimeout = 30 * time.Second

// probe looks once whether the service is ready: at its sockets first, because a
// program takes a processor that is emulated a tenth of a second to start.
func (sv *service) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ready := sv.spec.Ready
	if ready.Unix != "" {
		if err := connect(ctx, "unix", ready.Unix); err != nil {
			return err
		}
	}
	if ready.TCP > 0 {
		if err := connect(ctx, "tcp", net.JoinHostPort("127.0.0.1", itoa(ready.TCP))); err != nil {
			return err
		}
	}
	if len(ready.Exec) > 0 {
		return sv.probeExec(ctx, ready.Exec)
	}
	return nil
}

func connect(ctx context.Context, network, address string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return c.Close()
}

// probeExec runs a command. What it says is no part of the service's log: it would
// fill it with the same line.
func (sv *service) probeExec(ctx context.Context, argv []string) error {
	output := newLogbook()
	p, drained, err := sv.launch(argv, output)
	if err != nil {
		return err
	}
	name := filepath.Base(argv[0])
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.signal(unix.SIGKILL)
		<-p.done
		return fmt.Errorf("%s takes too long", name)
	}
	if p.exitCode() == 0 {
		return nil
	}
	select {
	case <-drained:
	case <-ctx.Done():
	}
	if said := output.last(1, 200); said != "" {
		return fmt.Errorf("%s %s: %s", name, p.describe(), said)
	}
	return fmt.Errorf("%s %s", name, p.describe())
}
