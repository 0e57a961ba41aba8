package web_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/web"
)

const shellPath = "/api/v1/sessions/shop%2F1/shell"

// looker is a client of the terminal socket.
type looker struct {
	t      *testing.T
	conn   *websocket.Conn
	at     nixspace.TerminalAttached
	offset int64
	seen   string
	status nixspace.TerminalStatus
	taken  int64
	code   int
}

func (s *server) look(ctx context.Context, r nixspace.TerminalRequest, script string) *looker {
	s.t.Helper()
	conn, err := s.dial(ctx, shellPath)
	if err != nil {
		s.t.Fatal(err)
	}
	first, _ := json.Marshal(map[string]any{"argv": []string{"sh", "-c", script}, "cols": 80, "rows": 24, "terminal": r})
	if err := conn.Write(ctx, websocket.MessageText, first); err != nil {
		s.t.Fatal(err)
	}
	_, b, err := conn.Read(ctx)
	var hello struct {
		OK       bool
		Terminal nixspace.TerminalAttached
	}
	if err != nil || json.Unmarshal(b, &hello) != nil || !hello.OK {
		s.t.Fatalf("the answer is %q, %v", b, err)
	}
	return &looker{t: s.t, conn: conn, at: hello.Terminal, offset: hello.Terminal.From, code: -1}
}

// next takes one frame, and returns false after the last one.
func (l *looker) next(ctx context.Context) bool {
	l.t.Helper()
	_, b, err := l.conn.Read(ctx)
	if err != nil {
		l.t.Fatalf("after %q: %v", l.seen, err)
	}
	switch b[0] {
	case web.FrameStdout:
		l.seen += string(b[1:])
		l.offset += int64(len(b) - 1)
		send(l.t, ctx, l.conn, web.FrameAck, string(binary.BigEndian.AppendUint64(nil, uint64(l.offset))))
	case web.FrameStatus:
		if err := json.Unmarshal(b[1:], &l.status); err != nil {
			l.t.Fatal(err)
		}
	case web.FrameTaken:
		l.taken = int64(binary.BigEndian.Uint64(b[1:]))
	case web.FrameExit:
		l.code = int(int32(binary.BigEndian.Uint32(b[1:])))
		return false
	default:
		l.t.Fatalf("a frame of type %d: %q", b[0], b)
	}
	return true
}

func (l *looker) text(ctx context.Context, want string) {
	l.t.Helper()
	for !strings.Contains(l.seen, want) && l.next(ctx) {
	}
	if !strings.Contains(l.seen, want) {
		l.t.Fatalf("%q is not in %q", want, l.seen)
	}
}

func TestTerminalGoesOnWhereItWas(t *testing.T) {
	ctx := deadline(t)
	s, _ := withAgent(t, nil)
	script := "stty -echo; echo up; while read x; do echo got $x; done; exit 3"
	r := nixspace.TerminalRequest{Name: "main", Viewer: "a", Who: "somebody else"}
	a := s.look(ctx, r, script)
	if !a.at.Created || !a.at.Reset {
		t.Errorf("%+v", a.at)
	}
	a.text(ctx, "up")
	send(t, ctx, a.conn, web.FrameStdin, "one\n")
	a.text(ctx, "got one")
	b := s.look(ctx, nixspace.TerminalRequest{Name: "main", Viewer: "b", ReadOnly: true}, script)
	b.text(ctx, "got one")
	for len(a.status.Viewers) < 2 {
		a.next(ctx)
	}
	if v := a.status.Viewers; v[0].Who != "owner" || !v[1].ReadOnly {
		t.Errorf("the viewers are %+v", v)
	}
	for a.taken < 4 {
		a.next(ctx)
	}
	// The connection breaks, with something typed that may have arrived or not.
	send(t, ctx, a.conn, web.FrameStdin, "two\n")
	a.conn.CloseNow()
	r.ID, r.From = a.at.ID, a.offset
	again := s.look(ctx, r, script)
	if again.at.Reset || again.at.From != a.offset || again.at.ID != a.at.ID {
		t.Errorf("came back as %+v to byte %d", again.at, a.offset)
	}
	all := "one\ntwo\nthree\n"
	send(t, ctx, again.conn, web.FrameStdin, all[again.at.Taken:])
	again.text(ctx, "got three\r\n")
	whole := strings.ReplaceAll(a.seen+again.seen, "\r", "")
	if whole != "up\ngot one\ngot two\ngot three\n" {
		t.Errorf("seen %q", whole)
	}
	b.text(ctx, "got three\r\n")
	send(t, ctx, again.conn, web.FrameStdin, "\x04")
	for again.next(ctx) {
	}
	for b.next(ctx) {
	}
	if again.code != 3 || b.code != 3 || b.seen != a.seen+again.seen {
		t.Errorf("codes %d and %d; one saw %q, the other %q", again.code, b.code, a.seen+again.seen, b.seen)
	}
}

func TestTerminalIsRefused(t *testing.T) {
	ctx := deadline(t)
	s, _ := withAgent(t, nil)
	for _, tt := range []struct{ name, path, first, code string }{
		{"a bad name", shellPath, `{"terminal":{"name":"../x","viewer":"a"}}`, "terminal_invalid"},
		{"nobody", shellPath, `{"terminal":{"name":"x"}}`, "viewer_invalid"},
		{"no session, and a page asks", "/api/v1/sessions/none/shell?wake=0", "", "session_not_found"},
		{"text later", shellPath, `{"argv":["sh"],"terminal":{"name":"x","viewer":"a"}}|more`, "frame_invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := s.dial(ctx, tt.path)
			if err != nil {
				t.Fatal(err)
			}
			for text := range strings.SplitSeq(tt.first, "|") {
				if text != "" {
					_ = conn.Write(ctx, websocket.MessageText, []byte(text))
				}
			}
			if e := readAny(t, ctx, conn); e != tt.code {
				t.Errorf("code %q, want %q", e, tt.code)
			}
		})
	}
}

// readAny reads until an error frame, and returns its code.
func readAny(t *testing.T, ctx context.Context, conn *websocket.Conn) string {
	t.Helper()
	for {
		typ, b, err := conn.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if typ == websocket.MessageBinary && b[0] == web.FrameError {
			var p struct{ Code string }
			_ = json.Unmarshal(b[1:], &p)
			return p.Code
		}
	}
}
