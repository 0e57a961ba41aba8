package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/apitest"
	"github.com/nixspace/nixspace/api/auth"
	"github.com/nixspace/nixspace/api/web"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/vm/guest"
	"github.com/nixspace/nixspace/vm/wire"
)

// terminals is a machine that has terminals, and nothing else.
type terminals struct {
	*apitest.Machine
	agent *wire.Client
}

func (m *terminals) AttachTerminal(ctx context.Context, r nixspace.TerminalRequest) (nixspace.Terminal, error) {
	return m.agent.AttachTerminal(ctx, r)
}

func (m *terminals) CloseTerminal(ctx context.Context, name string) error {
	return m.agent.CloseTerminal(ctx, name)
}

// breaking is a buffer that breaks connections while it is written to.
type breaking struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	after int // bytes until the next break; 0 for none
	cut   func()
	begun chan struct{} // closed with the first byte
	once  sync.Once
}

func (b *breaking) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Write(p)
	b.once.Do(func() { close(b.begun) })
	if b.after > 0 && b.buf.Len() > b.after {
		b.after += b.after/2 + 1
		go b.cut()
	}
	return len(p), nil
}

func (b *breaking) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestTerminalLosesNothing(t *testing.T) {
	root := t.TempDir()
	g, err := guest.NewProcess(guest.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(root, "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	serving, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); g.Serve(serving, l.Accept) }()
	t.Cleanup(func() { cancel(); stop(); l.Close(); <-served; g.Close() })
	a := apitest.New()
	a.MachineOf = func(nixspace.Session) nixspace.Machine {
		return &terminals{&apitest.Machine{}, wire.NewClient(func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", l.Addr().String())
		})}
	}
	tokens, err := auth.NewToken("token", apitest.Owner)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(web.New(web.Config{App: a, Auth: tokens, Log: slog.New(slog.DiscardHandler)}))
	defer server.Close()
	var conns sync.Map
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		conns.Store(c, nil)
		return ctx
	}
	cut := func() {
		conns.Range(func(c, _ any) bool {
			conns.Delete(c)
			c.(net.Conn).Close()
			return true
		})
	}
	var want strings.Builder
	for i := 1; i <= 40_000; i++ {
		fmt.Fprintf(&want, "%d\n", i)
	}
	const lines = 300
	for i := range lines {
		fmt.Fprintf(&want, "got line %d\n", i)
	}
	var notices sync.Map
	n := 0
	term := client.NewTerminal("shop/1", nixspace.TerminalRequest{
		Name: "t", Cols: 80, Rows: 24,
		Command: nixspace.Command{Argv: []string{"sh", "-c", fmt.Sprintf("stty -echo -opost; seq 1 40000; i=0; while [ $i -lt %d ]; do read x; echo got $x; i=$((i+1)); done; exit 4", lines)}},
	}, func() (*client.Client, error) { return client.New(server.URL, "token") },
		func(s string) { n++; notices.Store(n, s) })
	out := &breaking{after: 20_000, cut: cut, begun: make(chan struct{})}
	go func() {
		<-out.begun // by then nothing that is typed is echoed
		for i := range lines {
			if i%50 == 25 {
				cut()
			}
			if _, err := fmt.Fprintf(term, "line %d\n", i); err != nil {
				t.Error(err)
			}
		}
	}()
	code, err := term.Run(ctx, out)
	if code != 4 || err != nil {
		t.Fatalf("exit code %d, %v, after %d bytes", code, err, len(out.String()))
	}
	if got := out.String(); got != want.String() {
		t.Errorf("%d bytes of %d", len(got), want.Len())
	}
	if _, lost := notices.Load(1); !lost {
		t.Error("no connection was broken: the test shows nothing")
	}
	if _, err := term.Write([]byte("x")); !errors.Is(err, client.ErrDetached) {
		t.Errorf("typing after the end: %v", err)
	}

	left := client.NewTerminal("shop/1", nixspace.TerminalRequest{Name: "u", Command: nixspace.Command{Argv: []string{"sh", "-c", "echo up; cat"}}},
		func() (*client.Client, error) { return client.New(server.URL, "token") }, func(string) {})
	r, w := io.Pipe()
	go func() {
		buf := make([]byte, 100)
		_, _ = r.Read(buf)
		left.Detach()
		_, _ = io.Copy(io.Discard, r)
	}()
	if _, err := left.Run(ctx, w); !errors.Is(err, client.ErrDetached) {
		t.Errorf("detached: %v", err)
	}
	w.Close()
}
