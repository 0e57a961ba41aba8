package web_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/web"
)

func (s *server) dial(ctx context.Context, path string) (*websocket.Conn, error) {
	conn, res, err := websocket.Dial(ctx, "ws://"+s.addr+path, &websocket.DialOptions{
		HTTPClient: s.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}, Subprotocols: []string{web.ExecProtocol},
	})
	if err == nil {
		conn.SetReadLimit(1 << 20)
		s.t.Cleanup(func() { conn.CloseNow() })
	} else if res != nil && res.Body != nil {
		res.Body.Close()
	}
	return conn, err
}

// ended is what came of a command.
type ended struct {
	out, err string
	code     int
	problem  string // the code of an error frame
}

func (s *server) command(ctx context.Context, path string, c nixspace.Command) *websocket.Conn {
	s.t.Helper()
	conn, err := s.dial(ctx, path)
	if err != nil {
		s.t.Fatal(err)
	}
	b, _ := json.Marshal(c)
	if err := conn.Write(ctx, websocket.MessageText, b); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

func send(t *testing.T, ctx context.Context, conn *websocket.Conn, typ byte, payload string) {
	t.Helper()
	if err := conn.Write(ctx, websocket.MessageBinary, append([]byte{typ}, payload...)); err != nil {
		t.Fatal(err)
	}
}

// read reads frames until the last one, or until seen says that it is enough.
func read(t *testing.T, ctx context.Context, conn *websocket.Conn, seen func(ended) bool) (e ended) {
	t.Helper()
	for seen == nil || !seen(e) {
		typ, b, err := conn.Read(ctx)
		if err != nil {
			t.Fatalf("after %d bytes, %q: %v", len(e.out), e.err, err)
		}
		if typ == websocket.MessageText {
			if string(b) != `{"ok":true}` {
				t.Fatalf("text message %s", b)
			}
			continue
		}
		switch b[0] {
		case web.FrameStdout:
			e.out += string(b[1:])
		case web.FrameStderr:
			e.err += string(b[1:])
		case web.FrameExit:
			e.code = int(int32(binary.BigEndian.Uint32(b[1:])))
		case web.FrameError:
			var p struct{ Code string }
			_ = json.Unmarshal(b[1:], &p)
			e.problem = p.Code
		}
		if b[0] == web.FrameExit || b[0] == web.FrameError {
			if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
				t.Errorf("the socket ended with %v, want a normal closure", err)
			}
			return e
		}
	}
	return e
}

const execPath = "/api/v1/sessions/shop%2F1/exec"

func TestExec(t *testing.T) {
	ctx := deadline(t)
	s := start(t, nil)

	t.Run("output and exit code", func(t *testing.T) {
		conn := s.command(ctx, execPath, nixspace.Command{Argv: []string{"sh", "-c", "echo out; echo err >&2; echo $WHAT; exit 7"}, Env: map[string]string{"WHAT": "this"}})
		if e := read(t, ctx, conn, nil); e != (ended{"out\nthis\n", "err\n", 7, ""}) {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("input to its end", func(t *testing.T) {
		conn := s.command(ctx, execPath, nixspace.Command{Argv: []string{"cat"}})
		big := strings.Repeat("0123456789abcdef", 4000)
		for range 20 {
			send(t, ctx, conn, web.FrameStdin, big)
			read(t, ctx, conn, func(e ended) bool { return len(e.out) == len(big) })
		}
		send(t, ctx, conn, web.FrameStdinEOF, "")
		if e := read(t, ctx, conn, nil); e.code != 0 {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("much output", func(t *testing.T) {
		conn := s.command(ctx, execPath, nixspace.Command{Argv: []string{"sh", "-c", "yes | head -c 5000000"}})
		if e := read(t, ctx, conn, nil); len(e.out) != 5000000 || e.code != 0 {
			t.Errorf("got %d bytes, code %d", len(e.out), e.code)
		}
	})
	t.Run("signal", func(t *testing.T) {
		conn := s.command(ctx, execPath, nixspace.Command{Argv: []string{"sh", "-c", "trap 'echo caught; exit 3' INT; echo ready; while :; do read x; done"}})
		read(t, ctx, conn, func(e ended) bool { return e.out == "ready\n" })
		send(t, ctx, conn, web.FrameSignal, "SIGINT")
		send(t, ctx, conn, web.FrameStdin, "\n")
		if e := read(t, ctx, conn, nil); e.out != "caught\n" || e.code != 3 {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("killed by a signal", func(t *testing.T) {
		conn := s.command(ctx, execPath, nixspace.Command{Argv: []string{"sh", "-c", "kill -KILL $$"}})
		if e := read(t, ctx, conn, nil); e.code != 137 {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("terminal", func(t *testing.T) {
		conn := s.command(ctx, execPath, nixspace.Command{Argv: []string{"sh", "-c", "stty size; read x; stty size"}, TTY: true, Cols: 80, Rows: 24, Term: "xterm"})
		read(t, ctx, conn, func(e ended) bool { return e.out == "24 80\r\n" })
		send(t, ctx, conn, web.FrameResize, "\x00\x64\x00\x1e")
		send(t, ctx, conn, web.FrameStdin, "\r")
		if e := read(t, ctx, conn, nil); !strings.HasSuffix(e.out, "30 100\r\n") || e.code != 0 {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("shell", func(t *testing.T) {
		conn := s.command(ctx, "/api/v1/sessions/shop%2F1/shell", nixspace.Command{Cols: 80, Rows: 24, Term: "dumb"})
		send(t, ctx, conn, web.FrameStdin, "exit 5\r")
		if e := read(t, ctx, conn, nil); e.code != 5 {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("client that goes", func(t *testing.T) {
		// The process ends with the connection: the server could not stop else.
		conn := s.command(ctx, execPath, nixspace.Command{Argv: []string{"sh", "-c", "echo ready; sleep 1000"}})
		read(t, ctx, conn, func(e ended) bool { return e.out == "ready\n" })
		conn.CloseNow()
	})
	t.Run("process that reads nothing", func(t *testing.T) {
		conn := s.command(ctx, execPath, nixspace.Command{Argv: []string{"sh", "-c", "exec <&-; echo closed; exit 4"}})
		if e := read(t, ctx, conn, nil); e.code != 4 {
			t.Errorf("got %+v", e)
		}
	})

	for name, tt := range map[string]struct {
		command any
		frame   string
		code    string
	}{
		"unknown command":  {nixspace.Command{Argv: []string{"no-such-command"}}, "", "command_not_found"},
		"empty command":    {nixspace.Command{}, "", "command_invalid"},
		"no command":       {"hello", "", "command_invalid"},
		"unknown frame":    {nixspace.Command{Argv: []string{"cat"}}, "\x63", "frame_invalid"},
		"size of no size":  {nixspace.Command{Argv: []string{"cat"}}, "\x05\x00", "frame_invalid"},
		"frame of nothing": {nixspace.Command{Argv: []string{"cat"}}, "-", "frame_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := s.dial(ctx, execPath)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := json.Marshal(tt.command)
			if err := conn.Write(ctx, websocket.MessageText, b); err != nil {
				t.Fatal(err)
			}
			if tt.frame == "-" {
				err = conn.Write(ctx, websocket.MessageBinary, nil)
			} else if tt.frame != "" {
				err = conn.Write(ctx, websocket.MessageBinary, []byte(tt.frame))
			}
			if err != nil {
				t.Fatal(err)
			}
			if e := read(t, ctx, conn, nil); e.problem != tt.code {
				t.Errorf("got %+v, want error %s", e, tt.code)
			}
		})
	}
}

func TestExecRefused(t *testing.T) {
	ctx := deadline(t)
	s := start(t, nil)
	for path, want := range map[string]int{
		"/api/v1/sessions/shop%2F9/exec": 404,
		"/api/v1/sessions/pg13%2F1/exec": 404,
	} {
		//nolint:bodyclose // the package closes it, or has read it
		_, res, err := websocket.Dial(ctx, "ws://"+s.addr+path, &websocket.DialOptions{
			HTTPClient: s.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}, Subprotocols: []string{web.ExecProtocol},
		})
		if err == nil || res == nil || res.StatusCode != want {
			t.Errorf("%s: %v, %v; want status %d", path, res, err, want)
		}
	}
	// Without the subprotocol nothing is run.
	//nolint:bodyclose // the package closes it, or has read it
	conn, res, err := websocket.Dial(ctx, "ws://"+s.addr+execPath, &websocket.DialOptions{
		HTTPClient: s.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("status %d", res.StatusCode)
	}
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("read %v, want a policy violation", err)
	}
}

// TestStopEndsSockets checks that a server stops although programs run, and
// that it says so.
func TestStopEndsSockets(t *testing.T) {
	ctx := deadline(t)
	s := start(t, nil)
	conn := s.command(ctx, execPath, nixspace.Command{Argv: []string{"sh", "-c", "echo ready; sleep 1000"}})
	read(t, ctx, conn, func(e ended) bool { return e.out == "ready\n" })
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	var err error
	for err == nil {
		_, _, err = conn.Read(ctx)
	}
	if status := websocket.CloseStatus(err); status != websocket.StatusGoingAway {
		t.Errorf("the socket ended with %v, want going away", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
