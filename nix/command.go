package nix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/nixspace/nixspace/nix/daemon"
)

const (
	maxStdout = 64 << 20
	maxStderr = 16 << 10 // its end is kept
)

// Command is a call of the program nix.
type Command struct {
	Args  []string // without the program's name; never a shell's words
	Dir   string   // where it runs; the engine's own directory when empty
	Env   []string // further variables, NAME=value
	Stdin []byte
}

// CommandError says that the program nix failed.
type CommandError struct {
	Args   []string
	Stderr string // what it said, without terminal colours; the end of it if it was much
	Err    error
}

// Error quotes what Nix said.
func (e *CommandError) Error() string {
	what := "nix"
	for _, a := range e.Args {
		if !strings.HasPrefix(a, "-") {
			what += " " + a
			break
		}
	}
	if e.Stderr == "" {
		return fmt.Sprintf("run %s: %v", what, e.Err)
	}
	return fmt.Sprintf("run %s: %v: %s", what, e.Err, e.Stderr)
}

// Unwrap returns the cause.
func (e *CommandError) Unwrap() error { return e.Err }

// Run runs the program nix with the engine's settings and daemon, and returns what
// it prints. It ends, with everything that it started, when ctx does. It returns a
// *CommandError when it fails. Prefer the engine's other methods: a process takes
// 30 ms to start, and what it prints differs between versions of Nix.
func (e *Engine) Run(ctx context.Context, c Command) ([]byte, error) {
	c.Env = append([]string{"NIX_REMOTE=daemon", "NIX_DAEMON_SOCKET_PATH=" + e.socket}, c.Env...)
	return e.run(ctx, c)
}

func (e *Engine) run(ctx context.Context, c Command) ([]byte, error) {
	cmd := exec.CommandContext(ctx, e.bin, c.Args...)
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = e.dir
	}
	cmd.Env = e.environ(c.Env...)
	if c.Stdin != nil {
		cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	stdout, stderr := &capped{max: maxStdout}, &tail{max: maxStderr}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err == nil {
		return stdout.Bytes(), nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, &CommandError{Args: c.Args, Stderr: strings.TrimSpace(daemon.Plain(stderr.String())), Err: err}
}

// capped keeps what is written, up to a size; more is an error.
type capped struct {
	bytes.Buffer
	max int
}

func (c *capped) Write(p []byte) (int, error) {
	if c.Len()+len(p) > c.max {
		return 0, errors.New("it prints too much")
	}
	return c.Buffer.Write(p)
}

// tail keeps the end of what is written.
type tail struct {
	buf []byte
	max int
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }
