package guest_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace/vm/wire/wiretest"
)

var program struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// agentProgram builds the agent as it runs in a guest.
func agentProgram(t *testing.T) string {
	t.Helper()
	program.once.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "nixspace-agent-"); program.err != nil {
			return
		}
		program.path = filepath.Join(program.dir, "nixspace-agent")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program.path, "github.com/nixspace/nixspace/cmd/nixspace-agent")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		program.err = cmd.Run()
	})
	if program.err != nil {
		t.Fatalf("build the agent: %v", program.err)
	}
	return program.path
}

// TestAgentProgram runs the suite against the real program, which reaps every
// orphan and, where it may, runs everything as another user.
func TestAgentProgram(t *testing.T) {
	become := os.Geteuid() == 0
	if !become {
		t.Log("the user dev was NOT tested: only root may become somebody else")
	}
	wiretest.Run(t, func(t *testing.T) wiretest.Guest {
		t.Parallel()
		root := openTempDir(t)
		socket := filepath.Join(root, "s")
		args := []string{"--unix", socket, "--root", root}
		if become {
			args = append(args, "--become")
		}
		cmd := exec.Command(agentProgram(t), args...)
		cmd.Stderr = t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(os.Interrupt)
			if err := cmd.Wait(); err != nil {
				t.Errorf("the agent ended with %v", err)
			}
		})
		open := func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
		deadline := time.Now().Add(time.Minute)
		for {
			c, err := open(t.Context())
			if err == nil {
				_ = c.Close()
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		return wiretest.Guest{Open: open, Dir: filepath.Join(root, "workspace"), Echo: echoCommand(t), Dev: become}
	})
}

// openTempDir returns a new directory that other users can reach, with a path that
// is short enough for a socket.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ns")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
