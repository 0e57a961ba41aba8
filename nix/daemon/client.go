package daemon

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"

	"golang.org/x/sync/semaphore"
)

// Config says how to reach a daemon.
type Config struct {
	Socket  string // path of the unix socket
	Options Options
	// MaxConns bounds how many connections, and so requests, there are at the
	// same time; 8 when 0. Further callers wait.
	MaxConns int
}

// Client talks to one daemon over a pool of connections. It is safe for
// concurrent use. A request whose context ends is given up at once, and the
// daemon ends the builds that it ran for it.
type Client struct {
	cfg  Config
	sem  *semaphore.Weighted
	mu   sync.Mutex
	idle []*conn
	shut bool
}

// ErrClosed says that the client was closed.
var ErrClosed = errors.New("the client of the nix daemon is closed")

// NewClient returns a client. It connects when it is first asked something.
func NewClient(cfg Config) *Client {
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 8
	}
	return &Client{cfg: cfg, sem: semaphore.NewWeighted(int64(cfg.MaxConns))}
}

// Close closes the idle connections; those in use are closed when their request
// ends. Further requests fail with [ErrClosed].
func (c *Client) Close() error {
	c.mu.Lock()
	idle := c.idle
	c.idle, c.shut = nil, true
	c.mu.Unlock()
	for _, k := range idle {
		_ = k.c.Close()
	}
	return nil
}

// Info says what daemon this is.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var info Info
	err := c.with(ctx, func(k *conn) error {
		info = k.info
		return nil
	})
	return info, err
}

// with runs f with a connection of its own.
func (c *Client) with(ctx context.Context, f func(*conn) error) error {
	if err := c.sem.Acquire(ctx, 1); err != nil {
		return &ProtocolError{Op: "connect", Err: context.Cause(ctx)}
	}
	defer c.sem.Release(1)
	k, err := c.take(ctx)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // f panicked: the conversation is in an unknown state
			k.broken = true
		}
		c.put(k)
	}()
	err = f(k)
	done = true
	return err
}

func (c *Client) take(ctx context.Context) (*conn, error) {
	for {
		c.mu.Lock()
		if c.shut {
			c.mu.Unlock()
			return nil, ErrClosed
		}
		n := len(c.idle)
		if n == 0 {
			c.mu.Unlock()
			return c.dial(ctx)
		}
		k := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		if k.alive() {
			return k, nil
		}
		_ = k.c.Close()
	}
}

// dial opens a connection. A daemon that is about to end may still accept it, and
// then break it; the next attempt reaches the one that takes its place.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	for attempt := 1; ; attempt++ {
		k, err := dial(ctx, c.cfg.Socket, c.cfg.Options)
		broke := errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
		if !broke || attempt == dialAttempts {
			return k, err
		}
	}
}

const dialAttempts = 3

func (c *Client) put(k *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.broken || c.shut {
		_ = k.c.Close()
		return
	}
	c.idle = append(c.idle, k)
}
