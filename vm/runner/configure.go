package runner

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/volume"
	"github.com/nixspace/nixspace/vm/wire"
)

// keepTemplates is how many templates a host keeps.
const keepTemplates = 16

// nobody is who a machine is as long as it may become a template: the copies are
// told who they are.
const nobody = "nixspace"

// stage is one step of a guest's configuration.
type stage struct {
	what string
	f    func(context.Context) error
}

func (r *runner) stages(ctx context.Context, stages ...stage) error {
	for _, s := range stages {
		if err := do(ctx, configureTime, s.what, s.f); err != nil {
			return err
		}
	}
	return nil
}

// configure takes a guest that has booted through its stages up to running
// services, and takes a template on the way.
func (b *builder) configure(ctx context.Context, machine vm.Instance, client *wire.Client, w way) error {
	m := b.spec.Machine
	b.phase("configure")
	mount := wire.MountRequest{Disk: diskSerial}
	for i := range m.Layers {
		mount.Layers = append(mount.Layers, layerSerial(i))
	}
	first := m
	if w.template {
		first.Hostname, first.SessionID = nobody, nixspace.NewID()
	}
	err := b.stages(ctx,
		stage{"mount the guest's file systems", func(ctx context.Context) error { return client.Mount(ctx, mount) }},
		b.identity(client, first, false),
		stage{"prepare the guest", func(ctx context.Context) error {
			return client.Prepare(ctx, wire.PrepareRequest{Base: m.Base, Environment: m.Environment, Env: m.Env, Proxy: proxyPort(m.Egress)})
		}},
	)
	if err != nil {
		return err
	}
	if w.template {
		if err := b.services(ctx, client, early(m.Services)); err != nil {
			return err
		}
		if err := b.takeTemplate(ctx, machine); err != nil {
			b.log.Warn("no template was made", "err", err)
			if b.spec.Prewarm || ctx.Err() != nil {
				return causeOf(ctx, err)
			}
		}
		if b.spec.Prewarm {
			b.background.Wait()
			return errStopped
		}
		if err := b.stages(ctx, b.identity(client, m, false)); err != nil {
			return err
		}
	}
	return b.fill(ctx, client)
}

// personalise makes a machine that continues itself, and no other.
func (b *builder) personalise(ctx context.Context, client *wire.Client, w way) error {
	if err := b.stages(ctx, b.identity(client, b.spec.Machine, w.how != fromTemplate)); err != nil {
		return err
	}
	// Its services go on. That they still stand as they did is watched, and needs
	// no waiting.
	b.servicesChanged(w.services)
	if w.how != fromTemplate {
		b.serveEgress(ctx, client)
		return nil
	}
	b.store.Used(b.prepared.template)
	return b.fill(ctx, client)
}

// fill gives a new session its code, and starts the services that are missing.
func (b *builder) fill(ctx context.Context, client *wire.Client) error {
	b.serveEgress(ctx, client)
	if b.spec.Machine.Workspace != "" {
		b.phase("workspace")
		put := func(ctx context.Context) error { return b.putWorkspace(ctx, client) }
		if err := do(ctx, workspaceTime, "unpack the workspace", put); err != nil {
			return err
		}
	}
	for _, s := range b.spec.Machine.Services {
		if !slices.ContainsFunc(b.status().Services, func(st nixspace.ServiceStatus) bool { return st.Name == s.Name && st.State == "ready" }) {
			return b.services(ctx, client, b.spec.Machine.Services)
		}
	}
	return nil
}

func (b *builder) services(ctx context.Context, client *wire.Client, services []nixspace.Service) error {
	if len(services) == 0 {
		return nil
	}
	b.phase("services")
	return do(ctx, servicesTime, "start the services", func(ctx context.Context) error {
		return client.StartServices(ctx, wire.StartRequest{Services: services}, b.servicesChanged)
	})
}

// identity makes the guest a session's own. The machine id follows from the
// session, so that it survives a restart; time, epoch and entropy are new each
// time.
func (b *builder) identity(client *wire.Client, m nixspace.MachineSpec, restored bool) stage {
	return stage{"give the guest its identity", func(ctx context.Context) error {
		random := make([]byte, 8+64)
		if _, err := rand.Read(random); err != nil {
			return err
		}
		return client.Identify(ctx, wire.IdentityRequest{
			Hostname: m.Hostname, MachineID: strings.ReplaceAll(string(m.SessionID), "-", ""),
			Epoch:    binary.LittleEndian.Uint64(random)>>11 | 1, // exact in JSON, and never 0
			UnixNano: time.Now().UnixNano(), Entropy: random[8:], Restored: restored,
		})
	}}
}

// takeTemplate copies the machine as it is, before it has anything of its own. The
// copy is checked and made to last in the background.
func (b *builder) takeTemplate(ctx context.Context, machine vm.Instance) error {
	saver, ok := machine.(vm.Saver)
	if !ok {
		return fmt.Errorf("the driver %s cannot save machines", b.driver.Name())
	}
	key := b.prepared.template
	unlock, mine, err := b.store.LockTemplate(key)
	if err != nil {
		return err
	}
	if !mine {
		return fmt.Errorf("another session makes it")
	}
	draft, err := b.store.NewTemplate(key)
	if err != nil {
		unlock()
		return err
	}
	own := b.store.Session(b.spec.Machine.SessionID)
	// What is written before the guest stands still need not be written then.
	for _, path := range []string{own.Memory, own.Disk} {
		if err := volume.WriteBack(path); err != nil {
			b.log.Warn("cannot write back", "path", path, "err", err)
		}
	}
	var state bytes.Buffer
	pause, err := saver.Save(ctx, vm.SaveRequest{State: &state, Copy: func(ctx context.Context) error {
		return b.store.Copy(ctx, own, draft.Files, true)
	}})
	if err != nil {
		draft.Discard()
		unlock()
		return err
	}
	meta := b.meta(pause, "") // with the services as they stand now
	b.background.Go(func() {
		defer unlock()
		defer draft.Discard()
		sum, err := draft.WriteState(func(w io.Writer) error { _, err := w.Write(state.Bytes()); return err })
		if err == nil {
			meta.StateSum = sum
			_, err = draft.Publish(meta)
		}
		if err == nil {
			b.log.Info("template made", "key", key, "pause", pause)
			err = b.store.Prune(keepTemplates)
		}
		if err == nil {
			err = b.store.Template(key).Sync(context.WithoutCancel(ctx))
		}
		if err != nil {
			b.log.Warn("the template is not complete", "err", err)
		}
	})
	return nil
}

// putWorkspace unpacks the workspace, unless the disk has it already.
func (r *runner) putWorkspace(ctx context.Context, client *wire.Client) error {
	f, err := os.Open(r.spec.Machine.Workspace)
	if err != nil {
		return fmt.Errorf("open the workspace's archive: %w", err)
	}
	defer f.Close()
	_, err = client.Put(ctx, wire.PutRequest{Dir: "/workspace", Compression: wire.Zstd, Once: "workspace"}, f)
	return err
}
