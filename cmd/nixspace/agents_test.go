package main

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest"
	"github.com/nixspace/nixspace/vm/wire"
)

// agents are the agents of stand-in machines, each in a folder of its own: terminals,
// files and ports are those of real sessions.
type agents struct {
	mu   sync.Mutex
	m    map[string]*wire.Client
	stop []func()
}

// in returns the agent of a folder.
func (a *agents) in(dir string) (*wire.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.m[dir]; c != nil {
		return c, nil
	}
	g, err := guest.NewProcess(guest.Config{Root: dir})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", filepath.Join(dir, "a"))
	if err != nil {
		g.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); g.Serve(ctx, l.Accept) }()
	a.stop = append(a.stop, func() { cancel(); l.Close(); <-served; g.Close() })
	c := wire.NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", l.Addr().String())
	})
	if a.m == nil {
		a.m = map[string]*wire.Client{}
	}
	a.m[dir] = c
	return c, nil
}

func (a *agents) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, stop := range a.stop {
		stop()
	}
	a.stop = nil
}

// path is where a path of a session is on this host.
func (m hostMachine) path(p string) string { return filepath.Join(m.host.Dir, p) }

func (m hostMachine) AttachTerminal(ctx context.Context, r nixspace.TerminalRequest) (nixspace.Terminal, error) {
	return m.agent.AttachTerminal(ctx, r)
}

func (m hostMachine) CloseTerminal(ctx context.Context, name string) error {
	return m.agent.CloseTerminal(ctx, name)
}

func (m hostMachine) Dial(ctx context.Context, port int) (net.Conn, error) {
	return m.agent.Dial(ctx, port)
}

func (m hostMachine) WriteFiles(ctx context.Context, dir string, archive io.Reader, zstd bool) (nixspace.FilesWritten, error) {
	r := wire.PutRequest{Dir: m.path(dir)}
	if zstd {
		r.Compression = wire.Zstd
	}
	return m.agent.Put(ctx, r, archive)
}

func (m hostMachine) ReadFiles(ctx context.Context, path string) (io.ReadCloser, error) {
	return m.agent.Get(ctx, wire.GetRequest{Path: m.path(path)})
}

func (m hostMachine) FileInfo(ctx context.Context, path string) (nixspace.FileInfo, error) {
	return m.agent.Stat(ctx, m.path(path))
}

func (m hostMachine) ListFiles(ctx context.Context, dir string) ([]nixspace.FileInfo, error) {
	return m.agent.List(ctx, m.path(dir))
}
