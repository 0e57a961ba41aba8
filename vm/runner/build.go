package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/snapshot"
	"github.com/nixspace/nixspace/vm/volume"
	"github.com/nixspace/nixspace/vm/wire"
)

// The ways in which a machine comes up, as [nixspace.MachineStatus] names them.
const (
	fromBoot     = "boot"
	fromTemplate = "template"
	fromResume   = "resume"
	fromSnapshot = "snapshot"
)

// builder brings a session's machine up, from the best that there is.
type builder struct {
	*runner
	driver   vm.Driver
	caps     vm.Capabilities
	prepared *prepared
	pool     *volume.Pool
	store    *snapshot.Store

	background sync.WaitGroup // what goes on while the session runs already
}

// way is one way to bring the machine up.
type way struct {
	how string
	// disk is where a new disk is copied from; empty for an empty one. A disk that
	// the session has is used as it is, unless the way is to continue a machine.
	disk snapshot.Files
	// saved is what the machine continues from, except on boot.
	saved snapshot.Files
	// services is how the services of what is continued stood.
	services []nixspace.ServiceStatus
	// template says that a template is to be made on the way.
	template bool
}

// keys finds out by what names machines like this one can be continued.
func (r *runner) keys(ctx context.Context, driver vm.Driver, p *prepared) error {
	keyer, ok := driver.(vm.Keyer)
	if !ok {
		return nil
	}
	m := r.spec.Machine
	own, err := keyer.Key(ctx, r.vmSpec(p))
	if err != nil {
		return err
	}
	h := sha256.New()
	fmt.Fprintf(h, "nixspace machine 1\n%s\n", own)
	for _, l := range p.layers {
		fmt.Fprintln(h, l.Digest)
	}
	p.compat = hex.EncodeToString(h.Sum(nil))
	// A template has besides what is in its memory and on its disk.
	b, err := json.Marshal(struct {
		Kernel, Initramfs, Base, Environment string
		Env                                  map[string]string
		Services                             []nixspace.Service
		Disk                                 int64
		Proxy                                int `json:",omitempty"`
	}{filepath.Base(p.boot.Kernel), filepath.Base(p.boot.Initramfs), m.Base, m.Environment, m.Env, early(m.Services), m.DiskMiB, proxyPort(m.Egress)})
	if err != nil {
		return err
	}
	h.Write(b)
	p.template = hex.EncodeToString(h.Sum(nil))
	return nil
}

// early returns the services that may be part of a template, with all that they
// need.
func early(services []nixspace.Service) []nixspace.Service {
	in := map[string]bool{}
	var out []nixspace.Service
	for more := true; more; {
		more = false
		for _, s := range services {
			ok := s.Early && !in[s.Name]
			for _, n := range s.Needs {
				ok = ok && in[n]
			}
			if ok {
				in[s.Name], more = true, true
				out = append(out, s)
			}
		}
	}
	return out
}

// vmSpec describes the machine without what is its own.
func (r *runner) vmSpec(p *prepared) vm.Spec {
	m := r.spec.Machine
	spec := vm.Spec{
		ID: string(m.SessionID), CPUs: m.CPUs, MemoryMiB: m.MemoryMiB,
		Kernel: p.boot.Kernel, Initramfs: p.boot.Initramfs,
		Disks: []vm.Drive{{Serial: diskSerial}}, Console: r.console,
	}
	for i, l := range p.layers {
		spec.Layers = append(spec.Layers, vm.Drive{Serial: layerSerial(i), Path: l.Path})
	}
	return spec
}

// ways returns how the machine may come up, the best first. The last always
// works, or the session cannot run.
func (b *builder) ways() ([]way, error) {
	m := b.spec.Machine
	own := b.store.Session(m.SessionID)
	_, err := os.Lstat(own.Disk)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	hasDisk := err == nil
	boot := way{how: fromBoot}
	switch {
	case hasDisk && m.Resume:
		return []way{{how: fromResume, saved: own}, boot}, nil
	case hasDisk:
		return []way{boot}, nil
	case m.Snapshot != "":
		from := b.store.Snapshot(m.Snapshot)
		meta, err := from.Read()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nixspace.Errorf(nixspace.KindNotFound, "snapshot_not_found", "this host has no snapshot %s", m.Snapshot)
		}
		if err != nil {
			return nil, err
		}
		boot.disk = from
		if !meta.Info.Memory || m.DiskOnly {
			return []way{boot}, nil
		}
		return []way{{how: fromSnapshot, saved: from, disk: from}, boot}, nil
	case b.prepared.template == "" || m.Throwaway || !b.pool.Reflink():
		return []way{boot}, nil
	}
	boot.template = true
	from := b.store.Template(b.prepared.template)
	if _, err := os.Lstat(from.Meta); err == nil {
		b.store.Used(b.prepared.template) // so that it is not collected just now
		return []way{{how: fromTemplate, saved: from, disk: from}, boot}, nil
	}
	return []way{boot}, nil
}

// build brings the machine up, to the point where people may use it. The context
// that it returns ends when the machine does, too.
func (b *builder) build(ctx context.Context, undo *cleanup) (context.Context, error) {
	if b.spec.Prewarm {
		if b.prepared.template == "" || !b.pool.Reflink() {
			return nil, errStopped // such machines start from none
		}
		if _, err := b.store.Template(b.prepared.template).CheckMemory(b.prepared.compat); err == nil {
			return nil, errStopped
		}
		if err := b.store.RemoveTemplate(b.prepared.template); err != nil {
			return nil, err
		}
	}
	ways, err := b.ways()
	if err != nil {
		return nil, err
	}
	if b.spec.Machine.Resume && ways[0].how == fromBoot {
		b.fellBack(fromResume, errors.New("the session has no disk"))
	}
	for i, w := range ways {
		// Two stacks: what ends with the session, and what only a failure undoes.
		var mine, failed cleanup
		running, err := b.attempt(ctx, w, &mine, &failed)
		if err == nil {
			if w.how == fromSnapshot || w.disk.Disk != "" && b.spec.Machine.Snapshot != "" {
				err = os.WriteFile(filepath.Join(b.dir, OriginFile), []byte(b.spec.Machine.Snapshot+"\n"), 0o600)
			}
			if err != nil {
				return nil, errors.Join(err, mine.run(), failed.run())
			}
			undo.steps = append(undo.steps, mine.steps...)
			return running, nil
		}
		if undoErr := errors.Join(mine.run(), failed.run()); undoErr != nil || ctx.Err() != nil || i == len(ways)-1 {
			return nil, errors.Join(causeOf(ctx, err), undoErr)
		}
		b.fellBack(w.how, err)
		if w.how == fromTemplate {
			if err := b.store.RemoveTemplate(b.prepared.template); err != nil {
				b.log.Warn("a template that is of no use cannot be removed", "err", err)
			}
		}
	}
	return nil, errors.New("there is no way to start the machine")
}

// fellBack records why the machine does not come up as it was to.
func (b *builder) fellBack(how string, why error) {
	b.log.Warn("the machine boots, since there was nothing to continue from", "wanted", how, "err", why)
	b.update(func(s *nixspace.MachineStatus) { s.Fallback = fmt.Sprintf("%s: %v", how, why) })
}

// attempt tries one way. When it fails, what is on the stacks leaves everything as
// it was before, but for what a machine that ran has done to its disk.
func (b *builder) attempt(ctx context.Context, w way, undo, failed *cleanup) (context.Context, error) {
	b.update(func(s *nixspace.MachineStatus) { s.Start, s.Services = w.how, nil })
	if w.how == fromBoot {
		b.phase("boot")
	} else {
		b.phase("restore")
	}
	spec, err := b.files(ctx, &w, failed)
	if err != nil {
		return nil, err
	}
	machine, err := b.start(ctx, spec, undo)
	if err != nil {
		return nil, err
	}
	// From here on the machine's own end ends everything that waits for it.
	running, cancel := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	undo.add("forget the machine", func() error {
		cancel(nil)
		<-stopped
		b.mu.Lock()
		b.client, b.machine = nil, nil
		b.mu.Unlock()
		return nil
	})
	go func() {
		defer close(stopped)
		select {
		case <-machine.Done():
			cancel(machineEnded{machine.Err()})
		case <-running.Done():
		}
	}()
	if err := do(running, bootTime, "reach the machine's agent", machine.Transport().Reset); err != nil {
		return nil, endOf(err)
	}
	client := wire.NewClient(machine.Transport().Open)
	if w.how == fromBoot {
		err = b.configure(running, machine, client, w)
	} else {
		err = b.personalise(running, client, w)
	}
	if err != nil {
		return nil, endOf(err)
	}
	b.mu.Lock()
	b.client = client
	b.mu.Unlock()
	return running, nil
}

// files makes the session's own files ready for a way, and returns the machine
// that uses them.
func (b *builder) files(ctx context.Context, w *way, failed *cleanup) (vm.Spec, error) {
	m := b.spec.Machine
	own := b.store.Session(m.SessionID)
	spec := b.vmSpec(b.prepared)
	spec.Disks[0].Path = own.Disk
	spec.Memory.Path = own.Memory
	room := m.MemoryMiB
	if m.Throwaway {
		room = m.MemoryMiB / 4 // what it changes lies in the host's memory
	}
	if err := b.pool.Room(room); err != nil && w.how != fromResume {
		return vm.Spec{}, err
	}
	switch w.how {
	case fromBoot:
		// The disk moves on, so what was saved beside it is worth nothing.
		if err := errors.Join(own.Forget(), own.Remove()); err != nil {
			return vm.Spec{}, fmt.Errorf("remove the memory of before: %w", err)
		}
		if m.Throwaway {
			spec.Memory = vm.Memory{}
		}
		return spec, b.disk(ctx, *w, own)
	case fromResume:
		meta, err := own.CheckMemory(b.prepared.compat)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = errors.New("there is no memory to continue from")
			}
			return vm.Spec{}, err
		}
		w.services = meta.Services
		spec.State, spec.Commit = own.State, own.Forget
		return spec, nil
	}
	meta, err := w.saved.CheckMemory(b.prepared.compat)
	if err != nil {
		return vm.Spec{}, err
	}
	w.services = meta.Services
	spec.State = w.saved.State
	failed.add("remove the copy", func() error {
		return errors.Join(own.Remove(), b.pool.Delete(m.SessionID))
	})
	if !m.Throwaway {
		return spec, b.store.Copy(ctx, w.saved, own, true)
	}
	if err := b.store.Share(ctx, w.saved); err != nil {
		return vm.Spec{}, err
	}
	spec.Memory = vm.Memory{Path: w.saved.SharedMemory, Shared: true}
	return spec, b.store.Copy(ctx, w.saved, own, false)
}

// disk makes the disk of a machine that boots, unless the session has one.
func (b *builder) disk(ctx context.Context, w way, own snapshot.Files) error {
	if w.disk.Disk == "" {
		return b.newDisk(ctx)
	}
	if _, err := w.disk.Check(); err != nil {
		return err
	}
	return b.store.Copy(ctx, w.disk, own, false)
}

// start starts the machine's process, within limits.
func (b *builder) start(ctx context.Context, spec vm.Spec, undo *cleanup) (vm.Instance, error) {
	var err error
	if spec.Limit, err = b.limits(b.caps.Accel, undo); err != nil {
		return nil, err
	}
	machine, err := b.driver.Create(ctx, spec)
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
	b.mu.Lock()
	b.state.VMM, b.machine = vmm, machine
	b.mu.Unlock()
	b.update(func(s *nixspace.MachineStatus) { s.VMID = machine.ID() })
	return machine, nil
}
