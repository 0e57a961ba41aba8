package qemu

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
)

// Version of the wire protocol that the agent must speak.
const protocolVersion = 1

// transport reaches the agent over two virtio-serial ports. Each port ends in a
// socket pair of which QEMU holds the other end.
type transport struct {
	machine *instance
	monitor *monitor

	resetting sync.Mutex // serialises Reset
	control   *net.UnixConn
	lines     *bufio.Reader // of control

	mu      sync.Mutex
	data    net.Conn       // not yet used by a session; nil afterwards
	session *yamux.Session // nil before the first Reset
	closed  bool
}

var _ vm.Transport = (*transport)(nil)

func newTransport(data, control *net.UnixConn, in *instance) *transport {
	return &transport{machine: in, data: data, control: control, lines: bufio.NewReaderSize(control, 256)}
}

// sessionConfig suits a peer that may be paused for any time, and a channel
// that loses nothing.
func sessionConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive = false
	c.ConnectionWriteTimeout = 10 * time.Minute
	c.StreamOpenTimeout = 0
	c.StreamCloseTimeout = 5 * time.Minute
	c.MaxStreamWindowSize = 1 << 20
	c.LogOutput = io.Discard // what it would log, its callers get as errors
	return c
}

func (t *transport) Open(ctx context.Context) (net.Conn, error) {
	t.mu.Lock()
	session := t.session
	t.mu.Unlock()
	if session == nil {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "machine_not_ready", "the machine's agent does not answer yet")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stream, err := session.OpenStream()
	if err != nil {
		return nil, t.broken("open a stream", err)
	}
	return stream, nil
}

// Reset works in three steps, each of which the agent may already have done:
// the agent drops its end of the data port, the host's end is replaced so that
// nothing old is in between, and the agent says that it listens.
func (t *transport) Reset(ctx context.Context) error {
	t.resetting.Lock()
	defer t.resetting.Unlock()
	release := context.AfterFunc(ctx, func() { _ = t.control.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if release() {
			return
		}
		_ = t.control.SetDeadline(time.Time{})
	}()
	if err := t.say(ctx, "RESET", isOK); err != nil {
		return err
	}
	data, err := t.freshData(ctx)
	if err != nil {
		return err
	}
	version := 0
	err = t.say(ctx, "HELLO", func(line string) bool {
		text, ok := strings.CutPrefix(line, "READY ")
		if !ok {
			return false
		}
		n, err := strconv.Atoi(text)
		version = n
		return err == nil
	})
	if err == nil && version != protocolVersion {
		err = nixspace.Errorf(nixspace.KindUnavailable, "agent_version", "the guest's agent speaks protocol %d, this host speaks %d", version, protocolVersion).
			WithHint("build nixspace and nixspace-agent from the same source")
	}
	if err != nil {
		data.Close()
		return err
	}
	session, err := yamux.Client(data, sessionConfig())
	if err != nil {
		data.Close()
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		session.Close()
		return t.broken("reset the connection", net.ErrClosed)
	}
	t.session = session
	return nil
}

func isOK(line string) bool { return line == "OK" }

// maxNoise is how many lines that answer nothing are passed over. A guest's
// console, or a former life of its agent, may have left some.
const maxNoise = 1000

// say writes a line to the control port and waits for the answer.
func (t *transport) say(ctx context.Context, line string, isAnswer func(string) bool) error {
	what := "ask the agent to " + line
	if _, err := io.WriteString(t.control, line+"\n"); err != nil {
		return t.failed(ctx, what, err)
	}
	for range maxNoise {
		answer, err := t.lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull): // too long to be an answer
		case err != nil:
			return t.failed(ctx, what, err)
		case isAnswer(strings.TrimRight(string(answer), "\r\n")):
			return nil
		}
	}
	return nixspace.Errorf(nixspace.KindUnavailable, "agent_garbage", "the guest's agent answers %s with what is no answer", line)
}

// freshData returns an unused connection for the data port, and ends the
// session on the former one.
func (t *transport) freshData(ctx context.Context) (net.Conn, error) {
	t.mu.Lock()
	data, session := t.data, t.session
	t.data, t.session = nil, nil
	t.mu.Unlock()
	if data != nil {
		return data, nil
	}
	if session != nil {
		session.Close()
	}
	ours, other, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer other.Close()
	if err := t.replaceData(ctx, other); err != nil {
		ours.Close()
		return nil, fmt.Errorf("replace the data channel: %w", err)
	}
	return ours, nil
}

// failed prefers the caller's reason, then the machine's end, over an error of
// the channel that follows from them.
func (t *transport) failed(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	return t.broken(what, err)
}

// broken is the error of a channel that does not work. When QEMU is gone, the
// reason why comes with it.
func (t *transport) broken(what string, err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, yamux.ErrSessionShutdown) {
		return fmt.Errorf("%s: %w", what, err)
	}
	select {
	case <-t.machine.done:
		if cause := t.machine.Err(); cause != nil {
			return cause
		}
	case <-time.After(time.Second):
	}
	return nixspace.Errorf(nixspace.KindUnavailable, "machine_gone", "the connection to the machine is closed (%s): %w", what, err)
}

func (t *transport) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.control.Close()
	if t.data != nil {
		t.data.Close()
	}
	if t.session != nil {
		t.session.Close()
	}
}
