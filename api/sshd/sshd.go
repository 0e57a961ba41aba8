// Package sshd is an SSH server in front of machines: shell, exec, SFTP, and
// connections to ports and sockets, for the programs that speak SSH and nothing else.
//
// It listens nowhere. A client reaches it through a connection that the platform has
// let in already, so SSH's own authentication asks for nothing; its host key says to
// the client that it talks to this server.
package sshd

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/nixspace/nixspace"
)

const (
	handshakeTime = 30 * time.Second
	channelsMax   = 128 // of a connection at a time
)

// Server is an SSH server. It is safe for concurrent use.
type Server struct {
	config  *ssh.ServerConfig
	hostKey string
	log     *slog.Logger
}

// New returns a server whose host key is made of 32 secret bytes.
func New(seed []byte, log *slog.Logger) (*Server, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("a host key is made of %d bytes, not %d", ed25519.SeedSize, len(seed))
	}
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return nil, fmt.Errorf("make the host key: %w", err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true, ServerVersion: "SSH-2.0-NixSpace"}
	config.AddHostKey(signer)
	return &Server{config, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), log}, nil
}

// HostKey returns the public key of the server, as files of known hosts have it.
func (s *Server) HostKey() string { return s.hostKey }

// connection is one client.
type connection struct {
	m       nixspace.Machine
	log     *slog.Logger
	running sync.WaitGroup
	slots   chan struct{}
}

// Serve serves one client, who may do what dev may in the machine, until the client is
// gone or ctx ends. It closes conn.
func (s *Server) Serve(ctx context.Context, conn net.Conn, m nixspace.Machine) error {
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	// Not by the connection's own deadline: not everything that carries one has them.
	tooLong := time.AfterFunc(handshakeTime, cancel)
	client, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if !tooLong.Stop() && err == nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		return fmt.Errorf("agree with the client on SSH: %w", err)
	}
	c := &connection{m: m, log: s.log, slots: make(chan struct{}, channelsMax)}
	c.running.Go(func() { ssh.DiscardRequests(requests) }) // keep-alives are answered by a refusal, too
	for channel := range channels {
		select {
		case c.slots <- struct{}{}:
		default:
			_ = channel.Reject(ssh.ResourceShortage, "too many channels")
			continue
		}
		c.running.Go(func() {
			defer func() { <-c.slots }()
			c.channel(ctx, channel)
		})
	}
	cancel()
	c.running.Wait()
	if err := client.Wait(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Debug("ssh connection ended", "err", err)
	}
	return nil
}

// channel serves one channel until it is closed.
func (c *connection) channel(ctx context.Context, channel ssh.NewChannel) {
	switch channel.ChannelType() {
	case "session":
		c.session(ctx, channel)
	case "direct-tcpip":
		c.directTCP(ctx, channel)
	case "direct-streamlocal@openssh.com":
		c.directUnix(ctx, channel)
	default:
		_ = channel.Reject(ssh.UnknownChannelType, "this server has no channels of type "+nixspace.OneLine(channel.ChannelType(), 100))
	}
}

// problem says to people why something does not work.
func problem(err error) string {
	var known *nixspace.Error
	if !errors.As(err, &known) {
		return "the session cannot be reached"
	}
	if known.Hint != "" {
		return known.Message + "; " + known.Hint
	}
	return known.Message
}
