package fleet

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/runner"
	"github.com/nixspace/nixspace/vm/wire"
)

// Attach implements [nixspace.Machines].
func (l *Local) Attach(ctx context.Context, id nixspace.ID) (nixspace.Machine, error) {
	l.mu.Lock()
	f := l.followers[id]
	l.mu.Unlock()
	if f == nil {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "machine_not_found", "no machine of this session runs here")
	}
	m := &machine{id: id, fleet: l, client: f.client}
	s, err := m.Status(ctx)
	if err != nil {
		return nil, err
	}
	if !s.Status.Live() {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "machine_not_found", "the machine of this session has ended")
	}
	return m, nil
}

// machine is a session's machine by way of its runner.
type machine struct {
	id     nixspace.ID
	fleet  *Local
	client *runner.Client
}

var (
	_ nixspace.Machine           = (*machine)(nil)
	_ nixspace.ServiceController = (*machine)(nil)
	_ nixspace.Terminals         = (*machine)(nil)
	_ nixspace.Files             = (*machine)(nil)
)

func (m *machine) agent() *wire.Client { return wire.NewClient(m.client.Open) }

// Status asks the runner or, when that is gone, what it left.
func (m *machine) Status(ctx context.Context) (nixspace.MachineStatus, error) {
	s, err := m.client.Status(ctx)
	if err == nil || ctx.Err() != nil {
		return s, err
	}
	state, readErr := runner.ReadState(m.fleet.sessionDir(m.id))
	if readErr != nil {
		return s, err
	}
	return state.Machine, nil
}

func (m *machine) Exec(ctx context.Context, c nixspace.Command) (nixspace.Process, error) {
	return m.agent().Exec(ctx, c)
}

func (m *machine) Dial(ctx context.Context, port int) (net.Conn, error) {
	return m.agent().Dial(ctx, port)
}

func (m *machine) AttachTerminal(ctx context.Context, r nixspace.TerminalRequest) (nixspace.Terminal, error) {
	return m.agent().AttachTerminal(ctx, r)
}

func (m *machine) CloseTerminal(ctx context.Context, name string) error {
	return m.agent().CloseTerminal(ctx, name)
}

func (m *machine) WriteFiles(ctx context.Context, dir string, archive io.Reader, zstd bool) (nixspace.FilesWritten, error) {
	r := wire.PutRequest{Dir: dir}
	if zstd {
		r.Compression = wire.Zstd
	}
	return m.agent().Put(ctx, r, archive)
}

func (m *machine) ReadFiles(ctx context.Context, path string) (io.ReadCloser, error) {
	return m.agent().Get(ctx, wire.GetRequest{Path: path})
}

func (m *machine) FileInfo(ctx context.Context, path string) (nixspace.FileInfo, error) {
	return m.agent().Stat(ctx, path)
}

func (m *machine) ListFiles(ctx context.Context, dir string) ([]nixspace.FileInfo, error) {
	return m.agent().List(ctx, dir)
}

func (m *machine) Logs(ctx context.Context, service string, follow bool) (io.ReadCloser, error) {
	if service != "" {
		return m.agent().Logs(ctx, service, follow)
	}
	r, err := m.client.Logs(ctx, follow)
	if err == nil || ctx.Err() != nil {
		return r, err
	}
	// The machine's own log outlives it.
	f, openErr := os.Open(filepath.Join(m.fleet.sessionDir(m.id), runner.ConsoleFile))
	if openErr != nil {
		return nil, err
	}
	return f, nil
}

// ControlService implements [nixspace.ServiceController].
func (m *machine) ControlService(ctx context.Context, name string, action nixspace.ServiceAction) (nixspace.ServiceStatus, error) {
	return m.agent().ControlService(ctx, wire.ControlRequest{Name: name, Action: action})
}

// Stop asks the runner to end the session, and ends it by force when ctx ends
// first or the runner does not answer.
func (m *machine) Stop(ctx context.Context) error {
	if _, err := m.client.Stop(ctx); err != nil {
		return m.fleet.abort(m.id)
	}
	m.fleet.mu.Lock()
	f := m.fleet.followers[m.id]
	m.fleet.mu.Unlock()
	if f == nil {
		return nil
	}
	select {
	case <-f.ended:
		return nil
	case <-ctx.Done():
		return m.fleet.abort(m.id)
	}
}
