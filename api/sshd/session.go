package sshd

import (
	"context"
	"io"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/helper"
)

const variablesMax = 128

// session is a channel on which one command runs.
type session struct {
	c       *connection
	ch      ssh.Channel
	command nixspace.Command
	started bool

	mu sync.Mutex
	p  nixspace.Process // nil before it runs
}

func (c *connection) session(ctx context.Context, channel ssh.NewChannel) {
	ch, requests, err := channel.Accept()
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &session{c: c, ch: ch, command: nixspace.Command{Env: map[string]string{}}}
	var running sync.WaitGroup
	for r := range requests {
		ok, run := s.request(r)
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if run != nil {
			running.Go(func() { s.run(ctx, run) })
		}
	}
	// The client has closed the channel: what runs on it ends.
	cancel()
	_ = ch.Close()
	running.Wait()
}

// start begins what the client asked for.
type start func(context.Context, nixspace.Command) (nixspace.Process, error)

// request does one request, and returns what is to be started, if anything.
func (s *session) request(r *ssh.Request) (ok bool, run start) {
	switch r.Type {
	case "env":
		return s.variable(r.Payload), nil
	case "pty-req":
		return s.terminal(r.Payload), nil
	case "window-change":
		var size struct{ Cols, Rows, Width, Height uint32 }
		if ssh.Unmarshal(r.Payload, &size) != nil {
			return false, nil
		}
		return s.with(func(p nixspace.Process) error { return p.Resize(clamp(size.Cols), clamp(size.Rows)) }), nil
	case "signal":
		var sig struct{ Name string }
		if ssh.Unmarshal(r.Payload, &sig) != nil || len(sig.Name) > 16 {
			return false, nil
		}
		return s.with(func(p nixspace.Process) error { return p.Signal("SIG" + sig.Name) }), nil
	case "shell", "exec", "subsystem":
		if s.started {
			return false, nil
		}
		run := s.what(r)
		s.started = run != nil
		return s.started, run
	}
	return false, nil // agent and X11 forwarding among them
}

// with acts on the process, if there is one.
func (s *session) with(f func(nixspace.Process) error) bool {
	s.mu.Lock()
	p := s.p
	s.mu.Unlock()
	return p != nil && f(p) == nil
}

// variable takes a variable of the client's environment. Those that say which language
// the client speaks mean nothing in a machine that has not got it.
func (s *session) variable(payload []byte) bool {
	var v struct{ Name, Value string }
	if ssh.Unmarshal(payload, &v) != nil || s.started || len(s.command.Env) >= variablesMax {
		return false
	}
	if v.Name == "" || strings.ContainsAny(v.Name, "=\x00") || strings.Contains(v.Value, "\x00") {
		return false
	}
	if v.Name == "LANG" || v.Name == "LANGUAGE" || strings.HasPrefix(v.Name, "LC_") {
		return false
	}
	s.command.Env[v.Name] = v.Value
	return true
}

func (s *session) terminal(payload []byte) bool {
	var t struct {
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     string
	}
	if ssh.Unmarshal(payload, &t) != nil || s.started || len(t.Term) > 64 || strings.Contains(t.Term, "\x00") {
		return false
	}
	s.command.TTY, s.command.Term = true, t.Term
	s.command.Cols, s.command.Rows = clamp(t.Cols), clamp(t.Rows)
	return true
}

func clamp(n uint32) uint16 { return uint16(min(n, 10_000)) }

// what returns what a request is to start; nil for nothing that there is.
func (s *session) what(r *ssh.Request) start {
	var arg struct{ Value string }
	if r.Type != "shell" && ssh.Unmarshal(r.Payload, &arg) != nil {
		return nil
	}
	switch {
	case r.Type == "subsystem" && arg.Value != "sftp":
		return nil
	case r.Type == "subsystem":
		return func(ctx context.Context, c nixspace.Command) (nixspace.Process, error) {
			c.TTY, c.Argv = false, []string{"sftp"}
			return helper.Exec(ctx, s.c.m, c)
		}
	case r.Type == "exec":
		return s.shell("-c", arg.Value)
	}
	return s.shell("-l")
}

// shell starts bash, or sh where there is none.
func (s *session) shell(args ...string) start {
	return func(ctx context.Context, c nixspace.Command) (nixspace.Process, error) {
		c.Argv = append([]string{"bash"}, args...)
		p, err := s.c.m.Exec(ctx, c)
		if nixspace.ErrorCode(err) == "command_not_found" {
			c.Argv = append([]string{"/bin/sh"}, args...)
			return s.c.m.Exec(ctx, c)
		}
		return p, err
	}
}

// run runs the command to its end, tells the client how it ended, and closes the
// channel.
func (s *session) run(ctx context.Context, begin start) {
	defer s.ch.Close()
	p, err := begin(ctx, s.command)
	if err != nil {
		_, _ = io.WriteString(s.ch.Stderr(), "nixspace: "+problem(err)+"\r\n")
		s.exit(255)
		return
	}
	defer p.Close()
	s.mu.Lock()
	s.p = p
	s.mu.Unlock()
	s.exit(s.c.join(ctx, s.ch, p))
}

func (s *session) exit(code int) {
	_ = s.ch.CloseWrite()
	_, _ = s.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)}))
}
