package sshd

import (
	"context"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/helper"
)

// loopback reports whether a host that a client asks for is the machine itself.
func loopback(host string) bool {
	if host == "" || host == "localhost" || host == "*" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// directTCP connects the client to a port of the machine.
func (c *connection) directTCP(ctx context.Context, channel ssh.NewChannel) {
	var r struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if ssh.Unmarshal(channel.ExtraData(), &r) != nil || r.Port < 1 || r.Port > 65535 {
		_ = channel.Reject(ssh.ConnectionFailed, "this is no port")
		return
	}
	if !loopback(r.Host) {
		// What the environment may reach goes by the machine's own proxy, with its policy.
		_ = channel.Reject(ssh.Prohibited, "only ports of the session itself are reached, as localhost, not "+nixspace.OneLine(r.Host, 100))
		return
	}
	conn, err := c.m.Dial(ctx, int(r.Port))
	if err != nil {
		_ = channel.Reject(ssh.ConnectionFailed, problem(err))
		return
	}
	defer conn.Close()
	ch, requests, err := channel.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(requests)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	var out sync.WaitGroup
	out.Go(func() {
		_, _ = io.Copy(ch, conn)
		_ = ch.CloseWrite()
	})
	_, err = io.Copy(conn, ch)
	if half, ok := conn.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
	} else {
		_ = conn.Close()
	}
	out.Wait()
}

// directUnix connects the client to a unix socket of the machine, as the user dev.
func (c *connection) directUnix(ctx context.Context, channel ssh.NewChannel) {
	var r struct {
		Path      string
		Reserved  string
		Reserved2 uint32
	}
	if ssh.Unmarshal(channel.ExtraData(), &r) != nil || r.Path == "" || len(r.Path) > 107 {
		_ = channel.Reject(ssh.ConnectionFailed, "this is no path of a socket")
		return
	}
	p, err := helper.Exec(ctx, c.m, nixspace.Command{Argv: []string{"connect", r.Path}})
	if err != nil {
		_ = channel.Reject(ssh.ConnectionFailed, problem(err))
		return
	}
	defer p.Close()
	ch, requests, err := channel.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(requests)
	c.join(ctx, ch, p)
}

// join copies between a channel and a process, and returns once the process has
// ended and all of its output is sent.
func (c *connection) join(ctx context.Context, ch ssh.Channel, p nixspace.Process) int {
	defer context.AfterFunc(ctx, func() { _ = p.Close() })()
	go func() { // ends with the channel
		if _, err := io.Copy(p.Stdin(), ch); err == nil {
			_ = p.Stdin().Close()
		}
	}()
	var out sync.WaitGroup
	out.Go(func() { drain(ch, p.Stdout()) })
	out.Go(func() { drain(ch.Stderr(), p.Stderr()) })
	out.Wait()
	code, err := p.Wait()
	if err != nil {
		code = 255
	}
	return code
}

// drain copies to the end. What nobody wants any more is still read, or the process
// would wait for it.
func drain(w io.Writer, r io.Reader) {
	if _, err := io.Copy(w, r); err != nil {
		_, _ = io.Copy(io.Discard, r)
	}
}
