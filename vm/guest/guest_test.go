package guest_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace/vm/guest"
	"github.com/nixspace/nixspace/vm/wire"
	"github.com/nixspace/nixspace/vm/wire/wiretest"
)

const echoVariable = "NIXSPACE_TEST_ECHO"

// The test program is also the echo server of the suite, when it is asked to be.
func TestMain(m *testing.M) {
	// Whoever ignores hangups, as nohup does, hands that on; a machine does not.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	if os.Getenv(echoVariable) != "" {
		if err := echo(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if program.dir != "" {
			_ = os.RemoveAll(program.dir)
		}
		os.Exit(code)
	}))
}

func echo() error {
	port := "0"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(c, c)
			_ = c.(*net.TCPConn).CloseWrite()
			_ = c.Close()
		}()
	}
}

func echoCommand(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := openTempDir(t) // another user may not reach where the test program lies
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	self = filepath.Join(dir, "program")
	if err := os.WriteFile(self, program, 0o755); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "echo")
	if err := os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", echoVariable, self), 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{script}
}

// TestAgentInProcess runs the suite against an agent in the test's own process,
// so that the race detector and the leak check see all of it.
func TestAgentInProcess(t *testing.T) {
	wiretest.Run(t, func(t *testing.T) wiretest.Guest {
		t.Parallel()
		root := t.TempDir()
		a, err := guest.NewProcess(guest.Config{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", filepath.Join(root, "s"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan struct{})
		go func() { defer close(served); a.Serve(ctx, l.Accept) }()
		go func() { // as RunProcess does
			select {
			case <-a.Down():
			case <-ctx.Done():
			}
			_ = l.Close()
			cancel()
		}()
		t.Cleanup(func() { cancel(); <-served; a.Close() })
		return wiretest.Guest{
			Open: func(ctx context.Context) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", l.Addr().String())
			},
			Dir:  filepath.Join(root, "workspace"),
			Echo: echoCommand(t),
		}
	})
}

// TestAHundredMegabytes has a viewer read them while another one stands still.
func TestAHundredMegabytes(t *testing.T) {
	root := t.TempDir()
	a, err := guest.NewProcess(guest.Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(root, "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); a.Serve(ctx, l.Accept) }()
	t.Cleanup(func() { cancel(); _ = l.Close(); <-served; a.Close() })
	open := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", l.Addr().String())
	}
	wiretest.Stalled(t, wire.NewClient(open), filepath.Join(root, "workspace"), 100_000_000)
}
