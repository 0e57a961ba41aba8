package runner

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/image"
	"github.com/nixspace/nixspace/vm/qemu"
	"github.com/nixspace/nixspace/vm/volume"
	"github.com/nixspace/nixspace/vm/wire"
)

// diskSerial names the session's disk in the guest; layers are "layer0" and so on.
const diskSerial = "disk"

// prepared is what a machine is made of.
type prepared struct {
	boot   image.Boot
	layers []nixspace.LayerImage
	disk   string
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

	r.phase("image")
	p, err := within(ctx, imageTime, "prepare the machine", r.prepare)
	if err != nil {
		return err
	}
	r.update(func(s *nixspace.MachineStatus) { s.Layers = p.layers })

	r.phase("boot")
	machine, err := r.boot(ctx, driver, caps, p, undo)
	if err != nil {
		return err
	}
	// From here on the machine's own end ends everything that waits for it.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-machine.Done():
			cancel(machineEnded{machine.Err()})
		case <-ctx.Done():
		}
	}()
	err = r.configure(ctx, machine)
	if err == nil {
		r.log.Info("session runs", "after", time.Since(r.state.Machine.StartedAt))
		r.update(func(s *nixspace.MachineStatus) { s.Status, s.Phase = nixspace.SessionRunning, "" })
		err = r.follow(ctx)
	}
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

// prepare makes images, boot files and the disk, at the same time.
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
	g.Go(func() (err error) {
		p.disk, _, err = volume.At(h.Volumes).Create(ctx, m.SessionID, m.DiskMiB)
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

// boot starts the machine and waits for its agent.
func (r *runner) boot(ctx context.Context, driver vm.Driver, caps vm.Capabilities, p *prepared, undo *cleanup) (vm.Instance, error) {
	m := r.spec.Machine
	limit, err := r.limits(caps.Accel, undo)
	if err != nil {
		return nil, err
	}
	spec := vm.Spec{
		ID: string(m.SessionID), CPUs: m.CPUs, MemoryMiB: m.MemoryMiB,
		Kernel: p.boot.Kernel, Initramfs: p.boot.Initramfs,
		Disks: []vm.Drive{{Serial: diskSerial, Path: p.disk}},
		Limit: limit, Console: r.console,
	}
	for i, l := range p.layers {
		spec.Layers = append(spec.Layers, vm.Drive{Serial: layerSerial(i), Path: l.Path})
	}
	machine, err := driver.Create(ctx, spec)
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	undo.add("end the machine", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		return machine.Stop(ctx)
	})
	vmm, err := Identify(machine.PID())
	if err != nil {
		return nil, fmt.Errorf("identify the machine's process: %w", err)
	}
	r.mu.Lock()
	r.state.VMM, r.machine = vmm, machine
	r.mu.Unlock()
	r.update(func(s *nixspace.MachineStatus) { s.VMID = machine.ID() })
	if err := do(ctx, bootTime, "boot the machine", machine.Transport().Reset); err != nil {
		return nil, err
	}
	return machine, nil
}

func layerSerial(i int) string { return fmt.Sprintf("layer%d", i) }

// configure takes the guest through its stages up to running services.
func (r *runner) configure(ctx context.Context, machine vm.Instance) error {
	m := r.spec.Machine
	client := wire.NewClient(machine.Transport().Open)
	r.mu.Lock()
	r.client = client
	r.mu.Unlock()

	r.phase("configure")
	mount := wire.MountRequest{Disk: diskSerial}
	for i := range m.Layers {
		mount.Layers = append(mount.Layers, layerSerial(i))
	}
	identity, err := newIdentity(m)
	if err != nil {
		return err
	}
	prepare := wire.PrepareRequest{Base: m.Base, Environment: m.Environment, Env: m.Env}
	for _, stage := range []struct {
		what string
		f    func(context.Context) error
	}{
		{"mount the guest's file systems", func(ctx context.Context) error { return client.Mount(ctx, mount) }},
		{"give the guest its identity", func(ctx context.Context) error { return client.Identify(ctx, identity) }},
		{"prepare the guest", func(ctx context.Context) error { return client.Prepare(ctx, prepare) }},
	} {
		if err := do(ctx, configureTime, stage.what, stage.f); err != nil {
			return err
		}
	}
	if m.Workspace != "" {
		r.phase("workspace")
		put := func(ctx context.Context) error { return r.putWorkspace(ctx, client) }
		if err := do(ctx, workspaceTime, "unpack the workspace", put); err != nil {
			return err
		}
	}
	if len(m.Services) == 0 {
		return nil
	}
	r.phase("services")
	return do(ctx, servicesTime, "start the services", func(ctx context.Context) error {
		return client.StartServices(ctx, wire.StartRequest{Services: m.Services}, r.servicesChanged)
	})
}

func (r *runner) servicesChanged(s []nixspace.ServiceStatus) {
	r.update(func(status *nixspace.MachineStatus) { status.Services = s })
}

// newIdentity returns what makes this machine itself. The machine id follows from
// the session, so that it survives a restart; epoch and entropy are new each
// time.
func newIdentity(m nixspace.MachineSpec) (wire.IdentityRequest, error) {
	b := make([]byte, 8+64)
	if _, err := rand.Read(b); err != nil {
		return wire.IdentityRequest{}, err
	}
	return wire.IdentityRequest{
		Hostname: m.Hostname, MachineID: strings.ReplaceAll(string(m.SessionID), "-", ""),
		Epoch:    binary.LittleEndian.Uint64(b)>>11 | 1, // exact in JSON, and never 0
		UnixNano: time.Now().UnixNano(), Entropy: b[8:],
	}, nil
}

func (r *runner) putWorkspace(ctx context.Context, client *wire.Client) error {
	f, err := os.Open(r.spec.Machine.Workspace)
	if err != nil {
		return fmt.Errorf("open the workspace's archive: %w", err)
	}
	defer f.Close()
	_, err = client.Put(ctx, wire.PutRequest{Dir: "/workspace", Compression: wire.Zstd, Once: "workspace"}, f)
	return err
}

// follow watches a running session until something ends it, and stops it in
// order where that is still possible.
func (r *runner) follow(ctx context.Context) error {
	go r.watchServices(ctx)
	idle := time.NewTicker(abandonedTime / 10)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-idle.C:
			if !r.abandoned(abandonedTime) {
				continue
			}
			r.stop(errAbandoned)
			<-ctx.Done()
		}
		cause := context.Cause(ctx)
		var ended machineEnded
		if !errors.As(cause, &ended) {
			r.shutdown()
		}
		return cause
	}
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
