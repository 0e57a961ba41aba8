package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"time"

	"github.com/nixspace/nixspace"
)

// OpenFunc opens a new stream to the agent of one machine. [Link.Open] is one.
type OpenFunc func(ctx context.Context) (net.Conn, error)

// Client asks the agent of one machine for its services. Its methods are safe
// for concurrent use. Every error that the agent reports is a *[nixspace.Error];
// a machine that goes away meanwhile gives one of kind unavailable with code
// "machine_lost".
type Client struct{ open OpenFunc }

// NewClient returns a client that opens its streams with open.
func NewClient(open OpenFunc) *Client { return &Client{open: open} }

// start opens a stream and sends a request; the agent accepted it when start
// succeeds. The stream outlives ctx.
func (c *Client) start(ctx context.Context, service string, request, result any) (net.Conn, error) {
	conn, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close(); _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = exchange(conn, service, request, result)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, ctxError(ctx, err)
	}
	return conn, nil
}

func exchange(conn net.Conn, service string, request, result any) error {
	if err := WriteHeader(conn, service, request); err != nil {
		return known(err)
	}
	a, err := ReadAnswer(conn)
	if err != nil {
		return known(err)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		return protocolError("the answer of service %s cannot be read: %w", service, err)
	}
	return nil
}

// call makes a request whose answer is all there is.
func (c *Client) call(ctx context.Context, service string, request, result any) error {
	conn, err := c.start(ctx, service, request, result)
	if err != nil {
		return err
	}
	return conn.Close()
}

// known returns err where it is a *nixspace.Error, and what it means for the
// machine where it comes from the connection.
func known(err error) error {
	var e *nixspace.Error
	if errors.As(err, &e) {
		return err
	}
	return lost(err)
}

// ctxError prefers the reason that the caller gave for the failure that it
// caused.
func ctxError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Ping asks whether the agent answers.
func (c *Client) Ping(ctx context.Context) (Pong, error) {
	var p Pong
	err := c.call(ctx, ServicePing, nil, &p)
	return p, err
}

// Mount makes the guest mount its store and its disk.
func (c *Client) Mount(ctx context.Context, r MountRequest) error {
	return c.call(ctx, ServiceMount, r, nil)
}

// Identify gives the guest its identity, time and randomness.
func (c *Client) Identify(ctx context.Context, r IdentityRequest) error {
	return c.call(ctx, ServiceIdentity, r, nil)
}

// Prepare makes the guest ready for programs.
func (c *Client) Prepare(ctx context.Context, r PrepareRequest) error {
	return c.call(ctx, ServicePrepare, r, nil)
}

// Sync writes everything to the guest's disk: what a copy of the disk alone then
// has is what programs wrote until now.
func (c *Client) Sync(ctx context.Context) error { return c.call(ctx, ServiceSync, struct{}{}, nil) }

// SetTime sets the guest's clock and returns what it then shows; the zero time
// only asks.
func (c *Client) SetTime(ctx context.Context, t time.Time) (time.Time, error) {
	var r TimeRequest
	if !t.IsZero() {
		r.UnixNano = t.UnixNano()
	}
	var a TimeAnswer
	if err := c.call(ctx, ServiceTime, r, &a); err != nil {
		return time.Time{}, err
	}
	return time.Unix(0, a.UnixNano), nil
}

// Shutdown ends the guest in order: its services first, then its disk. It
// returns when the disk is unmounted, or was found to be still in use, which is
// an error; the guest powers off in both cases. When ctx ends first, the guest
// goes on shutting down.
func (c *Client) Shutdown(ctx context.Context, r ShutdownRequest) error {
	conn, err := c.start(ctx, ServiceShutdown, r, nil)
	if err != nil {
		return err
	}
	return follow(ctx, conn, nil)
}

// StartServices starts services and returns when all of them are ready. Each
// change of their states is reported to progress, which may be nil; the slice is
// progress's to keep. It fails with code "service_failed" when a service does not
// get ready. When ctx ends first, the services go on.
func (c *Client) StartServices(ctx context.Context, r StartRequest, progress func([]nixspace.ServiceStatus)) error {
	conn, err := c.start(ctx, ServiceStart, r, nil)
	if err != nil {
		return err
	}
	return follow(ctx, conn, progress)
}

// ControlService starts, stops or restarts one service and returns how it then
// stands. It fails with code "service_not_found" where the guest has no such
// service, "service_failed" when it does not get ready, and "service_unsupported"
// where the agent cannot do that. When ctx ends first, the service goes on.
func (c *Client) ControlService(ctx context.Context, r ControlRequest) (nixspace.ServiceStatus, error) {
	last := nixspace.ServiceStatus{Name: r.Name}
	conn, err := c.start(ctx, ServiceControl, r, nil)
	if err != nil {
		if nixspace.ErrorCode(err) == "service_unknown" {
			err = nixspace.Errorf(nixspace.KindUnavailable, "service_unsupported", "the machine was started by an older NixSpace, which cannot control single services").
				WithHint("stop the session and start it again")
		}
		return last, err
	}
	err = follow(ctx, conn, func(list []nixspace.ServiceStatus) {
		for _, s := range list {
			if s.Name == r.Name {
				last = s
			}
		}
	})
	return last, err
}

// WatchServices reports the states of all services, first as they stand and then
// at each change, until ctx ends, whose error it then returns.
func (c *Client) WatchServices(ctx context.Context, report func([]nixspace.ServiceStatus)) error {
	conn, err := c.start(ctx, ServiceWatch, nil, nil)
	if err != nil {
		return err
	}
	return follow(ctx, conn, report)
}

// Services returns the states of all services.
func (c *Client) Services(ctx context.Context) ([]nixspace.ServiceStatus, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var statuses []nixspace.ServiceStatus
	seen := false
	err := c.WatchServices(ctx, func(s []nixspace.ServiceStatus) {
		if !seen {
			seen, statuses = true, s
			cancel()
		}
	})
	if seen {
		return statuses, nil
	}
	return nil, err
}

// follow reads the frames of something that goes on, until its result. It closes
// conn.
func follow(ctx context.Context, conn net.Conn, report func([]nixspace.ServiceStatus)) error {
	return followJSON(ctx, conn, report)
}

// followJSON is follow for states of any kind. report may be nil.
func followJSON[T any](ctx context.Context, conn net.Conn, report func(T)) error {
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	frames := NewFrameReader(conn)
	for {
		t, p, err := frames.Next()
		if err != nil {
			return ctxError(ctx, known(err))
		}
		switch t {
		case FrameStatus:
			if report == nil {
				continue
			}
			var state T
			if err := json.Unmarshal(p, &state); err != nil {
				return protocolError("a state cannot be read: %w", err)
			}
			report(state)
		case FrameResult:
			return nil
		case FrameError:
			return DecodeError(p)
		default:
			return protocolError("unexpected frame of type %d", t)
		}
	}
}

// Logs returns the log of a service, or the agent's own when service is empty.
// It ends where the log ends or, with follow, when ctx does. Closing it frees the
// stream.
func (c *Client) Logs(ctx context.Context, service string, follow bool) (io.ReadCloser, error) {
	conn, err := c.start(ctx, ServiceLogs, LogsRequest{Service: service, Follow: follow}, nil)
	if err != nil {
		return nil, err
	}
	return newFrameStreamReader(ctx, conn), nil
}

// frameStreamReader reads the bytes of FrameOut frames up to the result.
type frameStreamReader struct {
	ctx    context.Context
	conn   net.Conn
	frames *FrameReader
	left   int
	err    error
	stop   func() bool
}

func newFrameStreamReader(ctx context.Context, conn net.Conn) *frameStreamReader {
	return &frameStreamReader{
		ctx: ctx, conn: conn, frames: NewFrameReader(conn),
		stop: context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }),
	}
}

func (r *frameStreamReader) Read(p []byte) (int, error) {
	for r.left == 0 && r.err == nil {
		r.left, r.err = r.next()
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.frames.Read(p)
	r.left -= n
	if err != nil {
		r.err = ctxError(r.ctx, known(err))
	}
	return n, r.err
}

// next returns the length of the next piece, or how the stream ended.
func (r *frameStreamReader) next() (int, error) {
	t, n, err := r.frames.NextHeader()
	if err != nil {
		return 0, ctxError(r.ctx, known(err))
	}
	switch t {
	case FrameOut:
		return n, nil
	case FrameResult:
		return 0, io.EOF
	case FrameError:
		p, err := io.ReadAll(r.frames)
		if err != nil {
			return 0, known(err)
		}
		return 0, DecodeError(p)
	}
	return 0, protocolError("unexpected frame of type %d", t)
}

func (r *frameStreamReader) Close() error {
	r.stop()
	err := r.conn.Close()
	_ = r.conn.SetReadDeadline(time.Unix(1, 0)) // a reader must not wait for the guest
	return err
}
