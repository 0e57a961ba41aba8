package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// monitor is a client of QEMU's machine protocol (QMP): lines of JSON, replies
// matched to commands by id, and events in between. It is safe for concurrent
// use.
type monitor struct {
	conn    *net.UnixConn
	onEvent func(event)
	done    chan struct{} // closed when the reader has ended

	write sync.Mutex // one command at a time on the connection

	mu      sync.Mutex
	nextID  uint64
	pending map[uint64]chan message
	err     error // why the reader ended
}

// message is anything that QEMU says.
type message struct {
	Greeting json.RawMessage `json:"QMP"`
	Return   json.RawMessage `json:"return"`
	Error    *qmpError       `json:"error"`
	ID       *uint64         `json:"id"`
	Event    string          `json:"event"`
	Data     json.RawMessage `json:"data"`
}

type qmpError struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

func (e *qmpError) Error() string { return "qemu: " + e.Desc }

type event struct {
	Name string
	Data json.RawMessage
}

// maxMessage bounds a line. The longest that we cause has a few kilobytes.
const maxMessage = 1 << 20

var errMonitorClosed = errors.New("qemu closed its monitor")

// dialMonitor takes the greeting, leaves the negotiation mode and returns a
// monitor that owns conn. Events go to onEvent, in order, on one goroutine.
func dialMonitor(ctx context.Context, conn *net.UnixConn, onEvent func(event)) (*monitor, error) {
	m := &monitor{conn: conn, onEvent: onEvent, done: make(chan struct{}), pending: make(map[uint64]chan message)}
	greeted := make(chan struct{})
	go m.read(greeted)
	select {
	case <-greeted:
	case <-m.done:
		return nil, m.reason()
	case <-ctx.Done():
		m.close()
		return nil, ctx.Err()
	}
	if _, err := m.command(ctx, "qmp_capabilities", nil); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *monitor) close() {
	m.conn.Close()
	<-m.done
}

func (m *monitor) reason() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *monitor) read(greeted chan<- struct{}) {
	err := readMessages(m.conn, func(msg message) {
		switch {
		case msg.Greeting != nil:
			if greeted != nil {
				close(greeted)
				greeted = nil
			}
		case msg.Event != "":
			if m.onEvent != nil {
				m.onEvent(event{msg.Event, msg.Data})
			}
		case msg.ID != nil:
			m.mu.Lock()
			reply := m.pending[*msg.ID]
			delete(m.pending, *msg.ID)
			m.mu.Unlock()
			if reply != nil {
				reply <- msg
			}
		}
	})
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, unix.ECONNRESET) {
		err = errMonitorClosed
	}
	m.mu.Lock()
	m.err = err
	m.mu.Unlock()
	close(m.done)
}

// readMessages calls f for each message until r ends, or says something that is
// no message.
func readMessages(r io.Reader, f func(message)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), maxMessage)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var msg message
		if err := json.Unmarshal(lines.Bytes(), &msg); err != nil {
			return fmt.Errorf("qemu's monitor said what is no message: %w", err)
		}
		f(msg)
	}
	return lines.Err()
}

// command runs one command and returns what it returned.
func (m *monitor) command(ctx context.Context, name string, args any) (json.RawMessage, error) {
	return m.commandWith(ctx, nil, name, args)
}

// commandWith runs a command that comes with an open file.
func (m *monitor) commandWith(ctx context.Context, file *os.File, name string, args any) (json.RawMessage, error) {
	reply := make(chan message, 1)
	m.mu.Lock()
	m.nextID++
	id := m.nextID
	m.pending[id] = reply
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.pending, id)
		m.mu.Unlock()
	}()
	line, err := json.Marshal(struct {
		Execute string `json:"execute"`
		Args    any    `json:"arguments,omitempty"`
		ID      uint64 `json:"id"`
	}{name, args, id})
	if err != nil {
		return nil, fmt.Errorf("qemu command %s: %w", name, err)
	}
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
	}
	if err := m.send(append(line, '\n'), rights); err != nil {
		return nil, fmt.Errorf("qemu command %s: %w", name, err)
	}
	select {
	case msg := <-reply:
		if msg.Error != nil {
			return nil, fmt.Errorf("qemu command %s: %w", name, msg.Error)
		}
		return msg.Return, nil
	case <-m.done:
		return nil, fmt.Errorf("qemu command %s: %w", name, m.reason())
	case <-ctx.Done():
		return nil, fmt.Errorf("qemu command %s: %w", name, ctx.Err())
	}
}

func (m *monitor) send(line, rights []byte) error {
	m.write.Lock()
	defer m.write.Unlock()
	n, _, err := m.conn.WriteMsgUnix(line, rights, nil)
	if err == nil && n < len(line) {
		_, err = m.conn.Write(line[n:])
	}
	return err
}
