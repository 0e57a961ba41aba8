package runner

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/egress"
	"github.com/nixspace/nixspace/vm/wire"
)

// proxyPort returns where a guest has its way out; 0 for nowhere.
func proxyPort(e nixspace.Egress) int {
	if !e.Any() {
		return 0
	}
	return nixspace.EgressPort
}

// checkEgress refuses a policy that could not be served, before anything runs.
func (r *runner) checkEgress() (err error) {
	if r.spec.Machine.Egress.Any() {
		r.egress, err = egress.New(egress.Config{
			Policy: r.spec.Machine.Egress, Private: r.spec.Host.PrivateNetworks, Log: r.log, Changed: r.egressChanged,
		})
	}
	return err
}

// serveEgress serves the machine's way out until ctx, which is that of the
// machine, ends. It begins when the machine is somebody's, and not before: a
// template reaches nothing.
func (b *builder) serveEgress(ctx context.Context, client *wire.Client) {
	if b.egress != nil {
		b.background.Go(func() { b.egress.Serve(ctx, client) })
	}
}

func (r *runner) egressChanged(s nixspace.EgressStatus) {
	r.update(func(m *nixspace.MachineStatus) { m.Egress = &s })
}
