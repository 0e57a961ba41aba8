package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/image"
	"github.com/nixspace/nixspace/vm/qemu"
	"github.com/nixspace/nixspace/vm/snapshot"
	"github.com/nixspace/nixspace/vm/volume"
	"github.com/nixspace/nixspace/vm/wire"
)

// diskSerial names the session's disk in the guest; layers are "layer0" and so on.
const diskSerial = "disk"

// prepared is what a machine is made of, besides what is its own.
type prepared struct {
	boot   image.Boot
	layers []nixspace.LayerImage
	// compat names what the memory of such a machine needs to be continued, and
	// template what makes one worth to start from. Both are empty where the driver
	// cannot save machines.
	compat, template string
}

// live takes the session from nothing to running and waits for its end. What
// must be undone goes on the stack. It returns nil when the guest powered itself
// off, the cause of ctx's end, or what went wrong.
func (r *runner) live(ctx context.Context, undo *cleanup) error {
	driver := qemu.New(qemu.Config{
		Binary: r.spec.Host.QEMU, Accel: r.spec.Host.Accel, Cache: r.spec.Host.Boot,
		Self: append(append([]string{}, r.spec.Host.Runner...), ProbeKVM),
	})
	caps, err := driver.Probe(ctx)
	if err != nil {
		return causeOf(ctx, err)
	}
	if n := len(r.spec.Machine.Layers); n > caps.MaxLayers {
		return nixspace.Errorf(nixspace.KindLimit, "too_many_layers", "the environment has %d store layers, a machine can have %d", n, caps.MaxLayers)
	}
	r.update(func(s *nixspace.MachineStatus) { s.Driver, s.Isolation = driver.Name(), caps.Isolation })

	if err := r.checkEgress(); err != nil {
		return err
	}
	r.phase("image")
	p, err := within(ctx, imageTime, "prepare the machine", r.prepare)
	if err != nil {
		return err
	}
	r.update(func(s *nixspace.MachineStatus) { s.Layers = p.layers })
	if err := r.keys(ctx, driver, p); err != nil {
		return causeOf(ctx, err)
	}
	b := &builder{runner: r, driver: driver, caps: caps, prepared: p, pool: volume.At(r.spec.Host.Volumes)}
	b.store = snapshot.In(b.pool)
	undo.add("finish the template", func() error { b.background.Wait(); return nil })
	ctx, err = b.build(ctx, undo)
	if err == nil {
		r.mu.Lock()
		r.builder = b
		r.mu.Unlock()
		r.log.Info("session runs", "after", time.Since(r.state.Machine.StartedAt))
		r.update(func(s *nixspace.MachineStatus) { s.Status, s.Phase = nixspace.SessionRunning, "" })
		err = r.follow(ctx)
	}
	return endOf(err)
}

// endOf returns why a machine ended, where err says that it did.
func endOf(err error) error {
	var ended machineEnded
	if errors.As(err, &ended) {
		return ended.err
	}
	return err
}

// machineEnded is the cause of a context that ended because the machine did.
type machineEnded struct{ err error }

func (e machineEnded) Error() string {
	if e.err == nil {
		return "the machine has ended"
	}
	return e.err.Error()
}

// causeOf returns why ctx ended, where it has, and err otherwise.
func causeOf(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// within runs one phase under a time limit, and says which phase it was that
// took too long.
func within[T any](ctx context.Context, limit time.Duration, what string, f func(context.Context) (T, error)) (T, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := f(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = nixspace.Errorf(nixspace.KindUnavailable, "session_timeout", "to %s took longer than %v", what, limit).
			WithHint("see nixspace logs; a busy host may need fewer sessions at once")
	}
	return v, causeOf(ctx, err)
}

func do(ctx context.Context, limit time.Duration, what string, f func(context.Context) error) error {
	_, err := within(ctx, limit, what, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}

// prepare makes images and boot files, at the same time.
func (r *runner) prepare(ctx context.Context) (*prepared, error) {
	m, h := r.spec.Machine, r.spec.Host
	p := &prepared{layers: make([]nixspace.LayerImage, len(m.Layers))}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(3)
	g.Go(func() error {
		k, err := image.FindKernel(h.Kernel)
		if err != nil {
			return err
		}
		p.boot, err = image.PrepareBoot(ctx, h.Boot, k)
		return err
	})
	layers := image.NewLayers(h.Layers, h.Store)
	for i, l := range m.Layers {
		g.Go(func() (err error) {
			p.layers[i], err = layers.Ensure(ctx, l, r.progress)
			return err
		})
	}
	return p, g.Wait()
}

func layerSerial(i int) string { return fmt.Sprintf("layer%d", i) }

func (r *runner) servicesChanged(s []nixspace.ServiceStatus) {
	r.update(func(status *nixspace.MachineStatus) { status.Services = s })
}

// follow watches a running session until something ends it, and stops it in
// order where that is still possible.
func (r *runner) follow(ctx context.Context) error {
	go r.watchServices(ctx)
	go r.watchView(ctx)
	alone := r.spec.Host.Abandoned
	if alone <= 0 {
		alone = abandonedTime
	}
	idle := time.NewTicker(alone / 10)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-idle.C:
			if !r.abandoned(alone) {
				continue
			}
			if err := r.rest(ctx); err != nil {
				r.log.Warn("the session stops, since it cannot be hibernated", "err", err)
				r.stop(errAbandoned)
			}
			<-ctx.Done()
		}
		cause := context.Cause(ctx)
		var ended machineEnded
		if !errors.As(cause, &ended) && !errors.Is(cause, errHibernated) {
			r.shutdown()
		}
		return cause
	}
}

// rest hibernates a session that no server asks for any more: what its processes
// hold is there for the next one.
func (r *runner) rest(ctx context.Context) error {
	if m := r.spec.Machine; m.Throwaway || m.Ephemeral {
		return errors.New("it is for one use")
	}
	return r.hibernate(ctx)
}

// watchServices keeps the status of services up to date.
func (r *runner) watchServices(ctx context.Context) {
	if len(r.spec.Machine.Services) == 0 {
		return
	}
	err := r.client.WatchServices(ctx, r.servicesChanged)
	if ctx.Err() == nil {
		r.log.Warn("services are no longer watched", "err", err)
	}
}

// watchView keeps the status up to date with what goes on in the guest.
func (r *runner) watchView(ctx context.Context) {
	err := r.client.WatchView(ctx, func(v nixspace.MachineView) {
		r.update(func(s *nixspace.MachineStatus) {
			if s.Status == nixspace.SessionRunning {
				s.View = v
			}
		})
	})
	if ctx.Err() == nil {
		r.log.Warn("terminals and ports are no longer watched", "err", err)
	}
}

// abandoned reports whether no request was served for a while.
func (r *runner) abandoned(after time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.contacts == 0 && time.Since(r.contact) > after
}

// shutdown asks the guest to end, and waits a while for it. Whatever comes of
// that, the machine is ended afterwards.
func (r *runner) shutdown() {
	r.update(func(s *nixspace.MachineStatus) { s.Status = nixspace.SessionStopping })
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := r.client.Shutdown(ctx, wire.ShutdownRequest{Timeout: serviceStop}); err != nil {
		r.log.Warn("the guest did not shut down in order", "err", err)
		return
	}
	select {
	case <-r.machine.Done():
	case <-ctx.Done():
		r.log.Warn("the guest did not power off")
	}
}
