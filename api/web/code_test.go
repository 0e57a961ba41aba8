package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/coder/websocket"

	vscode "github.com/nixspace/nixspace/api/code"
	"github.com/nixspace/nixspace/api/preview"
	"github.com/nixspace/nixspace/api/web"
	"github.com/nixspace/nixspace/app/helper/helpertest"
)

// editing is a browser that has been let in to a session's editor.
type editing struct {
	*previewing
	link preview.Link
	host string
	dir  string // that is edited
}

func withEditor(t *testing.T) *editing {
	t.Helper()
	helpertest.Use(t)
	site, err := vscode.NewSite(fstest.MapFS{
		"index.html.gz": {Data: gzipped(t, "<title>the editor</title>")}, "assets/a.js": {Data: []byte("1")}, "assets/b.wasm.gz": {Data: gzipped(t, "wasm")},
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e := &editing{previewing: withPreview(t, http.NotFoundHandler(), func(c *web.Config) { c.Workbench, c.Folder = site, dir }), dir: dir}
	status, body, _ := e.do(http.MethodPost, "/api/v1/sessions/shop%2F1/code", strings.NewReader(`{"path":"/"}`))
	if status != http.StatusOK || json.Unmarshal([]byte(body), &e.link) != nil {
		t.Fatalf("%d %s", status, body)
	}
	e.host = strings.TrimSuffix(strings.TrimPrefix(e.link.URL, "http://"), "/")
	if status, _, h := e.get(t, e.link.Open); status != http.StatusSeeOther || h.Get("Location") != "/" {
		t.Fatalf("%d %v", status, h)
	}
	return e
}

// socket opens the editor's socket; header pairs change what a browser sends.
func (e *editing) socket(ctx context.Context, path, protocol string, header ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{"Origin": {"http://" + e.host}, "Sec-Fetch-Site": {"same-origin"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return websocket.Dial(ctx, "ws://"+e.host+path, &websocket.DialOptions{HTTPClient: e.browser, HTTPHeader: h, Subprotocols: []string{protocol}})
}

type codeAnswer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Part   json.RawMessage `json:"part"`
	Error  struct{ Code, Message string }
	Event  string
	Data   json.RawMessage
	body   []byte
}

func readCode(t *testing.T, ctx context.Context, conn *websocket.Conn) codeAnswer {
	t.Helper()
	_, b, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.BigEndian.Uint32(b)
	var a codeAnswer
	if err := json.Unmarshal(b[4:4+n], &a); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	a.body = b[4+n:]
	return a
}

func writeCode(t *testing.T, ctx context.Context, conn *websocket.Conn, header any, body string) {
	t.Helper()
	head, _ := json.Marshal(header)
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(head))), head...)
	if err := conn.Write(ctx, websocket.MessageBinary, append(b, body...)); err != nil {
		t.Fatal(err)
	}
}

// asker asks one thing after the other.
type asker struct {
	t      *testing.T
	ctx    context.Context
	conn   *websocket.Conn
	id     int
	events []codeAnswer
}

func (a *asker) ask(method string, params map[string]any, body string) (result string, out string, failure string) {
	a.t.Helper()
	a.id++
	writeCode(a.t, a.ctx, a.conn, map[string]any{"id": a.id, "method": method, "params": params}, body)
	parts := ""
	for {
		r := readCode(a.t, a.ctx, a.conn)
		switch {
		case r.Event != "":
			a.events = append(a.events, r)
		case r.ID == a.id && r.Part != nil:
			parts += string(r.Part)
		case r.ID == a.id:
			return parts + string(r.Result), string(r.body), r.Error.Code
		}
	}
}

func TestEditorWorksInTheMachine(t *testing.T) {
	ctx := deadline(t)
	e := withEditor(t)
	conn, _, err := e.socket(ctx, "/api/socket", vscode.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20)
	if a := readCode(t, ctx, conn); a.Event != "hello" || !strings.Contains(string(a.Data), `"session":"shop/shop/1"`) {
		t.Fatalf("%+v", a)
	}
	ask := &asker{t: t, ctx: ctx, conn: conn}
	at := func(name string) string { return filepath.Join(e.dir, name) }
	for _, tt := range []struct {
		method                string
		params                map[string]any
		body                  string
		result, out, failures string // the result has this in it
	}{
		{"write", map[string]any{"path": at("a.txt"), "create": false}, "x", "", "", "not_found"},
		{"write", map[string]any{"path": at("a.txt"), "create": true}, "needle here\nÄ𝄞 Needle\n", "", "", ""},
		{"write", map[string]any{"path": at("a.txt"), "create": true}, "x", "", "", "exists"},
		{"stat", map[string]any{"path": at("a.txt")}, "", `"type":1,"size":26`, "", ""},
		{"stat", map[string]any{"path": at("none")}, "", "", "", "not_found"},
		{"stat", map[string]any{"path": "relative"}, "", "", "", "request_invalid"},
		{"read", map[string]any{"path": at("a.txt")}, "", "", "needle here\nÄ𝄞 Needle\n", ""},
		{"read", map[string]any{"path": e.dir}, "", "", "", "is_folder"},
		{"mkdir", map[string]any{"path": at("sub")}, "", "", "", ""},
		{"rename", map[string]any{"path": at("a.txt"), "to": at("sub/b.txt")}, "", "", "", ""},
		{"readdir", map[string]any{"path": e.dir}, "", `[["sub",2]]`, "", ""},
		{"search", map[string]any{"path": e.dir, "pattern": "needle"}, "", `"ranges":[[4,10]]`, "", ""},
		{"search", map[string]any{"path": e.dir, "pattern": "needle", "case": true}, "", `[{"path":"sub/b.txt","line":0,"text":"needle here","ranges":[[0,6]]}]{"limit":false}`, "", ""},
		{"search", map[string]any{"path": e.dir, "pattern": "(", "regexp": true}, "", "", "", "failed"},
		{"find", map[string]any{"path": e.dir, "pattern": "bt"}, "", `["sub/b.txt"]`, "", ""},
		{"find", map[string]any{"path": e.dir, "pattern": "zz"}, "", `[]`, "", ""},
		{"exec", map[string]any{"argv": []string{"sh", "-c", "pwd; echo bad >&2; exit 3"}, "dir": e.dir}, "", `{"code":3,"stderr":"bad\n"}`, e.dir + "\n", ""},
		{"exec", map[string]any{"argv": []string{"no-such-command"}}, "", "", "", "command_not_found"},
		{"delete", map[string]any{"path": at("sub"), "recursive": true}, "", "", "", ""},
		{"nothing", nil, "", "", "", "method_unknown"},
	} {
		result, out, failure := ask.ask(tt.method, tt.params, tt.body)
		if failure != tt.failures || out != tt.out || !strings.Contains(result, tt.result) {
			t.Errorf("%s %v: %q, %q, %q", tt.method, tt.params, result, out, failure)
		}
	}

	// What happens to files is told.
	ask.ask("watch", map[string]any{"path": e.dir}, "")
	for n := 0; ; n++ {
		if err := os.WriteFile(at("new.txt"), []byte{byte(n)}, 0o600); err != nil {
			t.Fatal(err)
		}
		ask.ask("stat", map[string]any{"path": e.dir}, "")
		if len(ask.events) > 0 {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("nothing was told")
		}
	}
	if ev := ask.events[0]; ev.Event != "files" || !strings.Contains(string(ev.Data), at("new.txt")) {
		t.Errorf("%+v", ev)
	}
}

func TestEditorShell(t *testing.T) {
	ctx := deadline(t)
	e := withEditor(t)
	conn, _, err := e.socket(ctx, "/api/shell", web.ExecProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"argv":["sh","-c","exit 4"],"cols":80,"rows":24}`)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, ctx, conn, nil); got.code != 4 {
		t.Errorf("%+v", got)
	}
}

func TestEditorIsServedToThoseWhoMay(t *testing.T) {
	ctx := deadline(t)
	e := withEditor(t)
	t.Run("the workbench", func(t *testing.T) {
		status, body, h := e.get(t, e.link.URL)
		csp := h.Get("Content-Security-Policy")
		if status != http.StatusOK || !strings.Contains(body, "the editor") || !strings.Contains(csp, "connect-src 'self';") || strings.Contains(csp, "'unsafe-eval'") {
			t.Errorf("%d %q %q", status, body, csp)
		}
		if status, body, h := e.get(t, e.link.URL+"assets/b.wasm"); status != 200 || body != "wasm" || h.Get("Content-Type") != "application/wasm" || !strings.Contains(h.Get("Cache-Control"), "immutable") {
			t.Errorf("%d %q %v", status, body, h)
		}
		if status, _, _ := e.get(t, e.link.URL+"api/v1/sessions"); status != http.StatusNotFound {
			t.Errorf("the platform is there: %d", status)
		}
	})
	t.Run("a ticket once", func(t *testing.T) {
		if status, _, _ := e.get(t, e.link.Open); status != http.StatusUnauthorized {
			t.Errorf("%d", status)
		}
	})
	for _, path := range []struct{ path, protocol string }{{"/api/socket", vscode.Protocol}, {"/api/shell", web.ExecProtocol}} {
		for name, header := range map[string][]string{
			"another site":          {"Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"},
			"a preview":             {"Origin", "http://3000--1--shop--shop.localhost", "Sec-Fetch-Site", "same-site"},
			"the platform":          {"Origin", "http://localhost:7070", "Sec-Fetch-Site", "same-site"},
			"no origin, other site": {"Origin", "", "Sec-Fetch-Site", "cross-site"},
			"a null origin":         {"Origin", "null", "Sec-Fetch-Site", "cross-site"},
		} {
			t.Run(path.path+" from "+name, func(t *testing.T) {
				conn, res, err := e.socket(ctx, path.path, path.protocol, header...)
				if err == nil {
					conn.CloseNow()
					t.Fatal("it gets in")
				}
				if res == nil || res.StatusCode != http.StatusForbidden {
					t.Errorf("%v %v", res, err)
				}
			})
		}
	}
	t.Run("without the cookie", func(t *testing.T) {
		jar := e.browser.Jar
		e.browser.Jar = nil
		defer func() { e.browser.Jar = jar }()
		if conn, res, err := e.socket(ctx, "/api/socket", vscode.Protocol); err == nil || res == nil || res.StatusCode != http.StatusUnauthorized {
			if err == nil {
				conn.CloseNow()
			}
			t.Errorf("%v %v", res, err)
		}
		// The cookie of a preview of the same session is none of the editor's.
		if status, _, _ := e.get(t, e.link.URL, "Cookie", "nixspace-preview=x.y"); status != http.StatusUnauthorized {
			t.Errorf("%d", status)
		}
	})
	t.Run("another session's host", func(t *testing.T) {
		other := strings.Replace(e.link.URL, "code--1--", "code--2--", 1)
		if status, _, _ := e.get(t, other); status != http.StatusUnauthorized {
			t.Errorf("%d", status)
		}
	})
}

func TestEditorMessagesOfHostilePages(t *testing.T) {
	ctx := deadline(t)
	e := withEditor(t)
	for _, b := range [][]byte{nil, {1}, {0, 0, 0, 9, '{'}, {255, 255, 255, 255}, {0, 0, 0, 1, '{'}} {
		conn, _, err := e.socket(ctx, "/api/socket", vscode.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		readCode(t, ctx, conn)
		if err := conn.Write(ctx, websocket.MessageBinary, b); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("%v: %v", b, err)
		}
		conn.CloseNow()
	}
}

func gzipped(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
