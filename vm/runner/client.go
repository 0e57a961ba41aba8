package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// Client talks to the runner of a session. Its methods are safe for concurrent
// use.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the runner that serves a socket. It connects
// when it is used.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// gone is the error of a runner that does not answer.
func gone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return nixspace.Errorf(nixspace.KindUnavailable, "machine_gone", "the session's machine does not answer: %w", err).
		WithHint("see nixspace list; start the session again if it has failed")
}

func (c *Client) request(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://session"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, gone(ctx, err)
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		return nil, readError(res.Body, res.Status)
	}
	return res, nil
}

// maxAnswer bounds what is read of a single answer.
const maxAnswer = 1 << 20

func readError(body io.Reader, status string) error {
	var e wire.ErrorBody
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&e); err != nil {
		return fmt.Errorf("the session's runner answers %s", status)
	}
	return e.Err()
}

func call[T any](ctx context.Context, c *Client, method, path string) (T, error) {
	var v T
	res, err := c.request(ctx, method, path)
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&v); err != nil {
		return v, gone(ctx, err)
	}
	return v, nil
}

// Status returns the machine's status.
func (c *Client) Status(ctx context.Context) (nixspace.MachineStatus, error) {
	return call[nixspace.MachineStatus](ctx, c, http.MethodGet, "/status")
}

// Stop stops the session in order and returns its last status.
func (c *Client) Stop(ctx context.Context) (nixspace.MachineStatus, error) {
	return call[nixspace.MachineStatus](ctx, c, http.MethodPost, "/stop")
}

// Hibernate saves the machine, ends it and returns the session's last status.
func (c *Client) Hibernate(ctx context.Context) (nixspace.MachineStatus, error) {
	return call[nixspace.MachineStatus](ctx, c, http.MethodPost, "/hibernate")
}

// Snapshot takes a snapshot of the running machine.
func (c *Client) Snapshot(ctx context.Context, id nixspace.ID) (nixspace.SnapshotInfo, error) {
	return call[nixspace.SnapshotInfo](ctx, c, http.MethodPost, "/snapshot?id="+url.QueryEscape(string(id)))
}

// Watch calls f with the present status and then with everything that happens. It
// returns nil after the session's last status, and an error when the runner goes
// away or ctx ends first.
func (c *Client) Watch(ctx context.Context, f func(Update)) error {
	res, err := c.request(ctx, http.MethodGet, "/watch")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(make([]byte, 4096), maxAnswer)
	final := false
	for lines.Scan() {
		var u Update
		if err := json.Unmarshal(lines.Bytes(), &u); err != nil {
			return gone(ctx, err)
		}
		if u.Status != nil {
			final = !u.Status.Status.Live()
		}
		f(u)
	}
	if err := lines.Err(); err != nil && !final {
		return gone(ctx, err)
	}
	if !final {
		return gone(ctx, io.ErrUnexpectedEOF)
	}
	return nil
}

// Logs returns what the guest's kernel and agent print; with follow, until ctx
// ends or the machine does.
func (c *Client) Logs(ctx context.Context, follow bool) (io.ReadCloser, error) {
	res, err := c.request(ctx, http.MethodGet, fmt.Sprintf("/logs?follow=%v", follow))
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// Open opens a stream to the agent in the guest, for [wire.NewClient].
func (c *Client) Open(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, gone(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	r := bufio.NewReader(conn)
	err = upgrade(conn, r)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		conn.Close()
		var known *nixspace.Error
		if errors.As(err, &known) {
			return nil, err
		}
		return nil, gone(ctx, err)
	}
	return &stream{Conn: conn, r: r}, nil
}

func upgrade(conn net.Conn, r *bufio.Reader) error {
	req, err := http.NewRequest(http.MethodGet, "http://session/open", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", Protocol)
	if err := req.Write(conn); err != nil {
		return err
	}
	res, err := http.ReadResponse(r, req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		defer res.Body.Close()
		return readError(res.Body, res.Status)
	}
	return nil
}

// stream is a connection of which the first bytes may have been read ahead.
type stream struct {
	net.Conn
	r *bufio.Reader
}

func (s *stream) Read(p []byte) (int, error) { return s.r.Read(p) }
