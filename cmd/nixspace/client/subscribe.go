package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
)

// ErrStop, returned by the function of a subscription, ends it without an error.
var ErrStop = errors.New("enough")

// dial opens a websocket.
func (c *Client) dial(ctx context.Context, path, subprotocol string, readLimit int64) (*websocket.Conn, error) {
	answer := &refusal{next: c.http.Transport}
	//nolint:bodyclose // the package closes it, or has read it
	conn, res, err := websocket.Dial(ctx, c.endpoint(path), &websocket.DialOptions{
		HTTPClient:      &http.Client{Transport: answer},
		HTTPHeader:      c.header(),
		Subprotocols:    []string{subprotocol},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols && res.Body != nil {
			res.Body = io.NopCloser(bytes.NewReader(answer.body))
			return nil, c.readProblem(res)
		}
		return nil, c.unreachable(err)
	}
	if conn.Subprotocol() != subprotocol {
		_ = conn.CloseNow()
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "server_strange", "%s does not speak %s", c.base, subprotocol).
			WithHint("is the server as new as this program?")
	}
	conn.SetReadLimit(readLimit)
	return conn, nil
}

// refusal keeps the body of an answer that is no upgrade: the websocket package
// keeps 1 KiB of it, and an error with its details can be longer.
type refusal struct {
	next http.RoundTripper
	body []byte
}

// RoundTrip sends a request.
func (r *refusal) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := r.next.RoundTrip(req)
	if err != nil || res.StatusCode == http.StatusSwitchingProtocols {
		return res, err
	}
	r.body, err = io.ReadAll(io.LimitReader(res.Body, answerMax))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(r.body))
	return res, nil
}

type subMessage struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// subscribe runs one subscription over a socket of its own (the protocol
// graphql-transport-ws) and calls f for each answer's field r.
func subscribe[T any](ctx context.Context, c *Client, query string, vars map[string]any, f func(T) error) error {
	conn, err := c.dial(ctx, "/graphql", "graphql-transport-ws", answerMax)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	send := func(m subMessage) error {
		b, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("encode a message: %w", err)
		}
		if err := conn.Write(ctx, websocket.MessageText, b); err != nil {
			return c.broken(ctx, err)
		}
		return nil
	}
	if err := send(subMessage{Type: "connection_init"}); err != nil {
		return err
	}
	for {
		_, b, err := conn.Read(ctx)
		if err != nil {
			return c.broken(ctx, err)
		}
		var m subMessage
		if err := json.Unmarshal(b, &m); err != nil {
			return fmt.Errorf("read the server's message: %w", err)
		}
		switch m.Type {
		case "connection_ack":
			payload, err := json.Marshal(map[string]any{"query": query, "variables": vars})
			if err != nil {
				return fmt.Errorf("encode a subscription: %w", err)
			}
			if err := send(subMessage{ID: "1", Type: "subscribe", Payload: payload}); err != nil {
				return err
			}
		case "ping":
			if err := send(subMessage{Type: "pong"}); err != nil {
				return err
			}
		case "next":
			var answer graphqlAnswer
			if err := json.Unmarshal(m.Payload, &answer); err != nil {
				return fmt.Errorf("read the server's answer: %w", err)
			}
			var out struct{ R T }
			if err := answer.into(&out); err != nil {
				return err
			}
			if err := f(out.R); err != nil {
				_ = conn.Close(websocket.StatusNormalClosure, "")
				if errors.Is(err, ErrStop) {
					return nil
				}
				return err
			}
		case "error":
			var errs []graphqlError
			if json.Unmarshal(m.Payload, &errs) == nil && len(errs) > 0 {
				return errs[0].err()
			}
			return fmt.Errorf("the server refused a subscription: %s", m.Payload)
		case "complete":
			_ = conn.Close(websocket.StatusNormalClosure, "")
			return nil
		}
	}
}

// broken describes a socket that ended before its time.
func (c *Client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := nixspace.Errorf(nixspace.KindUnavailable, "connection_lost", "the connection to %s broke: %w", c.base, err)
	if websocket.CloseStatus(err) == websocket.StatusGoingAway || errors.Is(err, io.EOF) {
		e.Message = fmt.Sprintf("the server at %s went away", c.base)
	}
	return e.WithHint("see whether it runs: nixspace list")
}
