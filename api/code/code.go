// Package code is the editor of a session in a browser: the workbench of VS Code,
// which it serves, and the socket by which the workbench works in the machine.
//
// It is served on a host of its own for each session (see api/preview), and trusts
// nothing that the page or the machine says: both may be somebody else's code.
package code

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
)

// Protocol is the websocket subprotocol of the editor. Each message is binary: the
// length of its header (32 bits, big endian), the header in JSON, and bytes.
const Protocol = "nixspace.code.v1"

const (
	headerMax  = 1 << 20
	fileMax    = 64 << 20 // bytes of a file that is opened or saved
	messageMax = 4 + headerMax + fileMax
	runningMax = 64 // requests at a time
)

// Hello is what a page is told first.
type Hello struct {
	Session  string `json:"session"`  // its reference
	Folder   string `json:"folder"`   // that is opened
	Platform string `json:"platform"` // address of NixSpace for people
}

// request is what a page asks for.
type request struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// answer is what it is told.
type answer struct {
	ID     int      `json:"id,omitempty"`
	Result any      `json:"result,omitempty"`
	Part   any      `json:"part,omitempty"`
	Error  *problem `json:"error,omitempty"`
	Event  string   `json:"event,omitempty"`
	Data   any      `json:"data,omitempty"`
}

type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (p *problem) Error() string { return p.Message }

func failed(code, format string, args ...any) error {
	return &problem{code, fmt.Sprintf(format, args...)}
}

// Refuse tells a page why its session cannot be reached.
func Refuse(ctx context.Context, conn *websocket.Conn, err error) {
	_ = send(ctx, conn, answer{Event: "refused", Data: problemOf(err)}, nil)
}

// Serve serves one page until it is gone, the machine is, or ctx ends.
func Serve(ctx context.Context, conn *websocket.Conn, m nixspace.Machine, hello Hello) error {
	conn.SetReadLimit(messageMax)
	ctx, cancel := context.WithCancel(ctx)
	s := &socket{conn: conn, m: m, requests: map[int]context.CancelFunc{}, slots: make(chan struct{}, runningMax)}
	defer s.running.Wait()
	defer s.unwatch()
	defer cancel()
	files, err := openFiles(ctx, m)
	if err != nil {
		Refuse(ctx, conn, err)
		return err
	}
	defer files.close()
	s.files = files
	if err := s.send(ctx, answer{Event: "hello", Data: hello}, nil); err != nil {
		return nil
	}
	// Without its files a page is of no use: it connects again.
	s.running.Go(func() {
		files.wait()
		_ = conn.Close(websocket.StatusGoingAway, "the machine is gone")
		cancel()
	})
	for {
		typ, b, err := conn.Read(ctx)
		if err != nil {
			return nil
		}
		r, body, err := parse(typ, b)
		if err != nil {
			_ = conn.Close(websocket.StatusPolicyViolation, err.Error())
			return err
		}
		s.take(ctx, r, body)
	}
}

// parse reads a message.
func parse(typ websocket.MessageType, b []byte) (request, []byte, error) {
	var r request
	if typ != websocket.MessageBinary || len(b) < 4 {
		return r, nil, errors.New("this is no message of the editor")
	}
	n := binary.BigEndian.Uint32(b)
	if n > headerMax || int(n) > len(b)-4 {
		return r, nil, errors.New("the header is longer than the message")
	}
	if err := json.Unmarshal(b[4:4+n], &r); err != nil {
		return r, nil, errors.New("the header is no JSON")
	}
	return r, b[4+n:], nil
}

// socket is one page.
type socket struct {
	conn    *websocket.Conn
	m       nixspace.Machine
	files   *files
	running sync.WaitGroup
	slots   chan struct{}

	mu       sync.Mutex
	requests map[int]context.CancelFunc
	watching context.CancelFunc
}

// take begins a request. While too many run, it waits.
func (s *socket) take(ctx context.Context, r request, body []byte) {
	if r.Method == "cancel" {
		var p struct{ ID int }
		if json.Unmarshal(r.Params, &p) == nil {
			s.mu.Lock()
			if end := s.requests[p.ID]; end != nil {
				end()
			}
			s.mu.Unlock()
		}
		return
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	ctx, end := context.WithCancel(ctx)
	s.mu.Lock()
	s.requests[r.ID] = end
	s.mu.Unlock()
	s.running.Go(func() {
		defer func() {
			end()
			s.mu.Lock()
			delete(s.requests, r.ID)
			s.mu.Unlock()
			<-s.slots
		}()
		result, out, err := s.do(ctx, r, body)
		a := answer{ID: r.ID, Result: result}
		if err != nil {
			a = answer{ID: r.ID, Error: problemOf(err)}
		} else if result == nil {
			a.Result = struct{}{}
		}
		_ = s.send(ctx, a, out) // a page that is gone has no use for it
	})
}

// problemOf is an error as a page is told. What the page cannot do anything about is
// told without detail.
func problemOf(err error) *problem {
	var p *problem
	var known *nixspace.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &known):
		return &problem{known.Code, known.Message}
	case errors.Is(err, context.Canceled):
		return &problem{"canceled", "canceled"}
	}
	return fileProblem(err)
}

func (s *socket) send(ctx context.Context, a answer, body []byte) error {
	return send(ctx, s.conn, a, body)
}

func send(ctx context.Context, conn *websocket.Conn, a answer, body []byte) error {
	head, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("write an answer: %w", err)
	}
	b := make([]byte, 4, 4+len(head)+len(body))
	binary.BigEndian.PutUint32(b, uint32(len(head)))
	return conn.Write(ctx, websocket.MessageBinary, append(append(b, head...), body...))
}
