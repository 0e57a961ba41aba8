// Package client talks to a NixSpace server: GraphQL over HTTP and websocket,
// uploads, and the sockets to programs in sessions.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
)

// answerMax is how many bytes of one answer are read.
const answerMax = 64 << 20

// Client is a connection to one server. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New returns a client of the server at address, an http or https URL.
func New(address, token string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "url_invalid", "%q is not the address of a server", address).
			WithHint("give a URL as http://127.0.0.1:7777")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if isLoopback(u.Hostname()) {
		transport.Proxy = nil // a proxy could not reach it
	}
	// Many sessions at once, each with calls of its own.
	transport.MaxIdleConnsPerHost = 16
	return &Client{base: u, token: token, http: &http.Client{Transport: transport}}, nil
}

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// URL returns the server's address.
func (c *Client) URL() string { return c.base.String() }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *Client) endpoint(path string) string { return c.base.String() + path }

func (c *Client) header() http.Header {
	h := http.Header{}
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
	return h
}

// unreachable describes a failure to speak with the server at all.
func (c *Client) unreachable(err error) error {
	if ctxErr := contextError(err); ctxErr != nil {
		return ctxErr
	}
	return nixspace.Errorf(nixspace.KindUnavailable, "server_unreachable", "the server at %s does not answer: %w", c.base, cause(err)).
		WithHint("is it running? start it with: nixspace up")
}

func contextError(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return nil
}

// cause drops what net/http writes around an error: the URL, mostly.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// problem is an error as the server sends it.
type problem struct {
	Kind    nixspace.Kind  `json:"kind"`
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Hint    string         `json:"hint"`
	Details map[string]any `json:"details"`
}

func (p problem) err() error {
	if p.Kind == "" {
		p.Kind, p.Code = nixspace.KindInternal, "internal"
	}
	return &nixspace.Error{Kind: p.Kind, Code: p.Code, Message: p.Message, Hint: p.Hint, Details: p.Details}
}

// readProblem turns an answer that is no success into an error.
func (c *Client) readProblem(res *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	var body struct {
		Error problem `json:"error"`
	}
	if json.Unmarshal(b, &body) == nil && body.Error.Code != "" {
		return body.Error.err()
	}
	return nixspace.Errorf(nixspace.KindUnavailable, "server_strange", "%s answered %s, which is not how NixSpace answers", c.base, res.Status).
		WithHint("check the address; is something else listening there?")
}

type graphqlError struct {
	Message    string  `json:"message"`
	Extensions problem `json:"extensions"`
}

func (e graphqlError) err() error {
	p := e.Extensions
	p.Message = e.Message
	return p.err()
}

type graphqlAnswer struct {
	Data   json.RawMessage `json:"data"`
	Errors []graphqlError  `json:"errors"`
}

func (a *graphqlAnswer) into(out any) error {
	if len(a.Errors) > 0 {
		return a.Errors[0].err()
	}
	if err := json.Unmarshal(a.Data, out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// query sends a query or mutation and reads its data into out.
func (c *Client) query(ctx context.Context, query string, vars map[string]any, out any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		return fmt.Errorf("encode a query: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint("/graphql"), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	req.Header = c.header()
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, answerMax))
	if err != nil {
		return c.unreachable(err)
	}
	var answer graphqlAnswer
	if json.Unmarshal(b, &answer) != nil || answer.Data == nil && answer.Errors == nil {
		res.Body = io.NopCloser(bytes.NewReader(b))
		return c.readProblem(res)
	}
	return answer.into(out)
}

// PutWorkspace uploads an archive of code (a tar, plain or compressed).
func (c *Client) PutWorkspace(ctx context.Context, archive io.Reader) (Workspace, error) {
	var ws Workspace
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.endpoint("/api/v1/workspaces"), archive)
	if err != nil {
		return ws, fmt.Errorf("make a request: %w", err)
	}
	req.Header = c.header()
	req.Header.Set("Content-Type", "application/octet-stream")
	// A server that will not take it says so before it is sent.
	req.Header.Set("Expect", "100-continue")
	res, err := c.http.Do(req)
	if err != nil {
		return ws, c.unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		return ws, c.readProblem(res)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&ws); err != nil {
		return ws, fmt.Errorf("read the server's answer: %w", err)
	}
	return ws, nil
}

// Logs streams the log of a session's machine, or of one of its services. The
// caller closes it.
func (c *Client) Logs(ctx context.Context, session, service string, follow bool) (io.ReadCloser, error) {
	q := url.Values{}
	if service != "" {
		q.Set("service", service)
	}
	if follow {
		q.Set("follow", "1")
	}
	return c.stream(ctx, c.endpoint("/api/v1/sessions/"+url.PathEscape(session)+"/logs?"+q.Encode()))
}

// stream returns the body of what is at an address of the server. The caller closes
// it.
func (c *Client) stream(ctx context.Context, address string) (io.ReadCloser, error) {
	res, err := c.get(ctx, address)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// get returns the answer of an address of the server, which is good. The caller closes
// its body.
func (c *Client) get(ctx context.Context, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	req.Header = c.header()
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		return nil, c.readProblem(res)
	}
	return res, nil
}

// lower is a state as people and programs read it: GraphQL's enums in lower
// case.
type lower string

// UnmarshalJSON reads a state.
func (l *lower) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*l = lower(strings.ToLower(s))
	return nil
}

// Timeout bounds calls that must not hang: cleaning up after an interrupt.
const Timeout = 45 * time.Second
