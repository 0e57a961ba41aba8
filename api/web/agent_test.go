package web_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/apitest"
	"github.com/nixspace/nixspace/api/web"
	"github.com/nixspace/nixspace/vm/guest"
	"github.com/nixspace/nixspace/vm/wire"
)

// agent is a machine with the agent of real ones, in the test's own process.
type agent struct {
	*apitest.Machine
	*wire.Client
	root string
}

func (a *agent) Exec(ctx context.Context, c nixspace.Command) (nixspace.Process, error) {
	return a.Client.Exec(ctx, c)
}

func (a *agent) Dial(ctx context.Context, port int) (net.Conn, error) {
	return a.Client.Dial(ctx, port)
}

func (a *agent) Logs(ctx context.Context, service string, follow bool) (io.ReadCloser, error) {
	return a.Machine.Logs(ctx, service, follow)
}

func (a *agent) WriteFiles(ctx context.Context, dir string, archive io.Reader, zstd bool) (nixspace.FilesWritten, error) {
	r := wire.PutRequest{Dir: dir}
	if zstd {
		r.Compression = wire.Zstd
	}
	return a.Put(ctx, r, archive)
}

func (a *agent) ReadFiles(ctx context.Context, path string) (io.ReadCloser, error) {
	return a.Get(ctx, wire.GetRequest{Path: path})
}

func (a *agent) FileInfo(ctx context.Context, path string) (nixspace.FileInfo, error) {
	return a.Stat(ctx, path)
}

func (a *agent) ListFiles(ctx context.Context, dir string) ([]nixspace.FileInfo, error) {
	return a.List(ctx, dir)
}

// withAgent starts a server whose session has a real agent.
func withAgent(t *testing.T, change func(*web.Config)) (*server, *agent) {
	t.Helper()
	root := t.TempDir()
	g, err := guest.NewProcess(guest.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(root, "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); g.Serve(ctx, l.Accept) }()
	t.Cleanup(func() { cancel(); l.Close(); <-served; g.Close() })
	a := &agent{
		Machine: &apitest.Machine{}, root: root,
		Client: wire.NewClient(func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", l.Addr().String())
		}),
	}
	s := start(t, change)
	s.app.MachineOf = func(nixspace.Session) nixspace.Machine { return a }
	return s, a
}
