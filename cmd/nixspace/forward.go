package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type forwardCmd struct {
	Session string   `arg:"" help:"The session."`
	Ports   []string `arg:"" placeholder:"LOCAL:REMOTE" help:"A port here and the session's port that it leads to; one number for both; 0 for any that is free here."`
}

// Help says more than one line about the verb.
func (*forwardCmd) Help() string {
	return "Runs until it is interrupted. It listens on 127.0.0.1 alone.\n\nExample: nixspace forward shop/1 15432:5432"
}

// Run makes ports of a session ports of this machine.
func (c *forwardCmd) Run(ctx context.Context, g *globals, std streams) error {
	type pair struct{ local, remote int }
	pairs := make([]pair, len(c.Ports))
	for i, s := range c.Ports {
		l, r, both := strings.Cut(s, ":")
		if !both {
			r = l
		}
		local, err1 := strconv.Atoi(l)
		remote, err2 := strconv.Atoi(r)
		if err1 != nil || err2 != nil || local < 0 || local > 65535 || remote < 1 || remote > 65535 {
			return nixspace.Errorf(nixspace.KindInvalid, "usage", "%q is no pair of ports", s).WithHint("write LOCAL:REMOTE, for example 8080:3000")
		}
		pairs[i] = pair{local, remote}
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	f := &forwarder{api: api, session: c.Session, std: std}
	defer f.open.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, p := range pairs {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.local)))
		if err != nil {
			return nixspace.Errorf(nixspace.KindConflict, "port_in_use", "port %d of this machine cannot be had: %w", p.local, err).
				WithHint("choose another one, or 0 for any")
		}
		defer context.AfterFunc(ctx, func() { _ = l.Close() })()
		_, _ = fmt.Fprintf(std.Out, "%s leads to port %d of %s\n", l.Addr(), p.remote, c.Session)
		f.open.Go(func() { f.accept(ctx, l, p.remote) })
	}
	<-ctx.Done()
	return nil
}

type forwarder struct {
	api     *client.Client
	session string
	std     streams
	open    sync.WaitGroup
}

// accept serves connections until the listener is closed.
func (f *forwarder) accept(ctx context.Context, l net.Listener, port int) {
	defer l.Close()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			_, _ = fmt.Fprintln(f.std.Err, err)
			return
		}
		f.open.Go(func() {
			defer conn.Close()
			if err := f.api.Forward(ctx, f.session, port, conn); err != nil && ctx.Err() == nil {
				_, _ = fmt.Fprintf(f.std.Err, "port %d: %v\n", port, err)
			}
		})
	}
}
