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

func (m *terminals) Dial(ctx context.Context, port int) (net.Conn, error) {
	return m.agent.Dial(ctx, port)
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

// serving is a server whose session has a real agent, and the way to break all
// connections to it.
func serving(t *testing.T) (ctx context.Context, address string, cut func()) {
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
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	running, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); g.Serve(running, l.Accept) }()
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
	server := httptest.NewUnstartedServer(web.New(web.Config{App: a, Auth: tokens, Log: slog.New(slog.DiscardHandler)}))
	var conns sync.Map
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		conns.Store(c, nil)
		return ctx
	}
	server.Start()
	t.Cleanup(server.Close)
	return ctx, server.URL, func() {
		conns.Range(func(c, _ any) bool {
			conns.Delete(c)
			c.(net.Conn).Close()
			return true
		})
	}
}

func TestForward(t *testing.T) {
	ctx, address, _ := serving(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // it answers only once it has read all: ends must pass through
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b, _ := io.ReadAll(c)
			_, _ = c.Write(bytes.ToUpper(b))
			_ = c.Close()
		}
	}()
	here, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	api, err := client.New(address, "token")
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	done := make(chan error, 1)
	go func() {
		c, err := here.Accept()
		if err == nil {
			err = api.Forward(ctx, "shop/1", l.Addr().(*net.TCPAddr).Port, c)
			c.Close()
		}
		done <- err
	}()
	c, err := net.Dial("tcp", here.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := strings.Repeat("hello ", 100_000)
	go func() {
		_, _ = io.WriteString(c, text)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != strings.ToUpper(text) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	one, two := net.Pipe()
	defer two.Close()
	if err := api.Forward(ctx, "shop/1", 1, one); nixspace.ErrorCode(err) != "port_refused" {
		t.Errorf("to a port on which nothing listens: %v", err)
	}
}

func TestTerminalLosesNothing(t *testing.T) {
	ctx, address, cut := serving(t)
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
	}, func() (*client.Client, error) { return client.New(address, "token") },
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
		func() (*client.Client, error) { return client.New(address, "token") }, func(string) {})
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
