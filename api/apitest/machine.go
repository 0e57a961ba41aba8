package apitest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/creack/pty"

	"github.com/nixspace/nixspace"
)

// Machine runs commands as processes of this host, with real pipes, terminals
// and signals. What [nixspace.Process] promises, it keeps.
type Machine struct {
	Dir    string // where commands run
	Env    []string
	Follow <-chan string // what followed logs say after their first lines; nil for nothing
}

var _ nixspace.Machine = (*Machine)(nil)

// Status says that it runs.
func (m *Machine) Status(context.Context) (nixspace.MachineStatus, error) {
	return nixspace.MachineStatus{Status: nixspace.SessionRunning}, nil
}

// Dial is not possible.
func (m *Machine) Dial(context.Context, int) (net.Conn, error) {
	return nil, errors.New("a test machine has no ports")
}

// Stop does nothing.
func (m *Machine) Stop(context.Context) error { return nil }

// ControlService finds the service postgresql, which does as it is told.
func (m *Machine) ControlService(_ context.Context, name string, action nixspace.ServiceAction) (nixspace.ServiceStatus, error) {
	s := nixspace.ServiceStatus{Name: name, State: nixspace.ServiceReady, Ports: []int{5432}}
	if name != "postgresql" {
		return s, nixspace.Errorf(nixspace.KindNotFound, "service_not_found", "there is no service %q in the machine", name).WithHint("there is postgresql")
	}
	if action == nixspace.ServiceStop {
		s.State = nixspace.ServiceStopped
	}
	return s, nil
}

// Logs has two lines for the machine and for the service postgresql.
func (m *Machine) Logs(ctx context.Context, service string, follow bool) (io.ReadCloser, error) {
	if service != "" && service != "postgresql" {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "service_not_found", "there is no service %q", service).WithHint("it has postgresql")
	}
	r, w := io.Pipe()
	go func() {
		_, _ = fmt.Fprintf(w, "log of %q\nsecond line\n", service)
		for follow && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case line, ok := <-m.Follow:
				if !ok {
					w.Close()
					return
				}
				_, _ = io.WriteString(w, line+"\n")
			}
		}
		w.Close()
	}()
	return r, nil
}

// Exec starts a process.
func (m *Machine) Exec(_ context.Context, c nixspace.Command) (nixspace.Process, error) {
	if _, err := exec.LookPath(c.Argv[0]); err != nil {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "command_not_found", "there is no command %q in the session", c.Argv[0]).
			WithHint("add the package that has it: nixspace add")
	}
	cmd := exec.CommandContext(context.Background(), c.Argv[0], c.Argv[1:]...)
	cmd.Dir = m.Dir
	cmd.Env = append(os.Environ(), m.Env...)
	for k, v := range c.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	p := &process{cmd: cmd}
	if c.TTY {
		cmd.Env = append(cmd.Env, "TERM="+c.Term)
		f, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: c.Cols, Rows: c.Rows})
		if err != nil {
			return nil, fmt.Errorf("start on a terminal: %w", err)
		}
		p.pty, p.in, p.out, p.err = f, f, terminal{f}, strings.NewReader("")
		return p, nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Own pipes: those of os/exec are closed by Wait, with output still in them.
	var ends [3][2]*os.File
	for i := range ends {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("make a pipe: %w", err)
		}
		ends[i] = [2]*os.File{r, w}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = ends[0][0], ends[1][1], ends[2][1]
	err := cmd.Start()
	ends[0][0].Close()
	ends[1][1].Close()
	ends[2][1].Close()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Argv[0], err)
	}
	p.in, p.out, p.err = ends[0][1], ends[1][0], ends[2][0]
	p.files = []io.Closer{ends[0][1], ends[1][0], ends[2][0]}
	return p, nil
}

// terminal reads a pseudo-terminal, whose end is an error on Linux.
type terminal struct{ f *os.File }

func (t terminal) Read(b []byte) (int, error) {
	n, err := t.f.Read(b)
	if errors.Is(err, syscall.EIO) {
		err = io.EOF
	}
	return n, err
}

type process struct {
	cmd      *exec.Cmd
	pty      *os.File
	in       io.WriteCloser
	out, err io.Reader
	files    []io.Closer

	once sync.Once
	code int
	werr error
}

func (p *process) Stdin() io.WriteCloser { return p.in }
func (p *process) Stdout() io.Reader     { return p.out }
func (p *process) Stderr() io.Reader     { return p.err }

func (p *process) Resize(cols, rows uint16) error {
	if p.pty == nil {
		return nil
	}
	return pty.Setsize(p.pty, &pty.Winsize{Cols: cols, Rows: rows})
}

var signals = map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL, "SIGHUP": syscall.SIGHUP}

func (p *process) Signal(name string) error {
	s, ok := signals[name]
	if !ok {
		return fmt.Errorf("signal %q is unknown", name)
	}
	return syscall.Kill(-p.cmd.Process.Pid, s)
}

func (p *process) Wait() (int, error) {
	p.once.Do(func() {
		err := p.cmd.Wait()
		var exit *exec.ExitError
		switch {
		case err == nil:
		case errors.As(err, &exit):
			p.code = exit.ExitCode()
			if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
				p.code = 128 + int(ws.Signal())
			}
		default:
			p.werr = err
		}
	})
	return p.code, p.werr
}

func (p *process) Close() error {
	if p.cmd.Process != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	for _, f := range p.files {
		_ = f.Close()
	}
	if p.pty != nil {
		_ = p.pty.Close()
	}
	_, err := p.Wait()
	return err
}
