package dial

import (
	"context"
	"net"
	"sync"

	"github.com/nixspace/nixspace"
)

// Forward is a port of the loopback interface that leads to one address and no
// other: for programs, such as ssh, that cannot be told to use a proxy.
type Forward struct {
	listener net.Listener
	cancel   context.CancelFunc
	done     sync.WaitGroup
	mu       sync.Mutex
	failed   error
}

// Forward opens a port that leads to address (host:port) by the policy. Close
// ends it.
func (p Policy) Forward(address string) (*Forward, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "proxy_unavailable", "the proxy for fetching cannot listen: %w", err)
	}
	f := &Forward{listener: ln}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	f.done.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return // closed
			}
			f.done.Go(func() {
				defer near.Close()
				far, err := p.DialContext(ctx, "tcp", address)
				if err != nil {
					f.mu.Lock()
					f.failed = err
					f.mu.Unlock()
					return
				}
				defer far.Close()
				join(ctx, near, near, far)
			})
		}
	})
	return f, nil
}

// Port returns the port on 127.0.0.1.
func (f *Forward) Port() int { return f.listener.Addr().(*net.TCPAddr).Port }

// Err returns why the last connection that failed did, or nil where none did.
func (f *Forward) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// Close ends the port and every connection through it, and waits for that.
func (f *Forward) Close() error {
	f.cancel()
	err := f.listener.Close()
	f.done.Wait()
	return err
}
