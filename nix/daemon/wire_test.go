package daemon

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is written is read again.
func TestPrimitives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, b := rapid.Uint64().Draw(t, "n"), rapid.Bool().Draw(t, "b")
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "s"))
		ss := rapid.SliceOf(rapid.String()).Draw(t, "ss")
		var buf bytes.Buffer
		w := writer{bufio.NewWriter(&buf)}
		w.u64(n)
		w.bool(b)
		w.str(s)
		w.strs(ss)
		_ = w.w.Flush()
		whole := bytes.Clone(buf.Bytes())
		r := &reader{r: bufio.NewReader(&buf)}
		if r.u64() != n || r.bool() != b || r.str() != s || !slices.Equal(r.strs(), ss) || r.err != nil || buf.Len() != 0 {
			t.Fatalf("not read as it was written: %v", r.err)
		}
		cut := rapid.IntRange(0, len(whole)-1).Draw(t, "cut")
		r = &reader{r: bufio.NewReader(bytes.NewReader(whole[:cut]))}
		r.u64()
		r.bool()
		r.str()
		r.strs()
		if !errors.Is(r.err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut off after %d of %d bytes: %v", cut, len(whole), r.err)
		}
	})
}

// message returns what a daemon would send: integers and strings.
func message(parts ...any) []byte {
	var buf bytes.Buffer
	w := writer{bufio.NewWriter(&buf)}
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			w.u64(uint64(p))
		case string:
			w.str(p)
		case []string:
			w.strs(p)
		}
	}
	_ = w.w.Flush()
	return buf.Bytes()
}

const (
	aPath = "/nix/store/00000000000000000000000000000000-a"
	aHash = "0000000000000000000000000000000000000000000000000000000000000000"
)

// Nothing that a daemon sends makes the reader panic, allocate what was not sent, or
// go on after an error.
func FuzzReader(f *testing.F) {
	f.Add(byte(0), message(stderrNext, "hi", stderrStart, 1, 3, 105, "text", 2, 0, 7, 1, "field", 0, stderrResult, 1, 101, 1, 1, "line", stderrStop, 1, stderrLast))
	f.Add(byte(0), message(stderrError, "Error", 0, "", "\x1b[31;1mbad\x1b[0m", 0, 1, 0, "trace"))
	f.Add(byte(1), message("", aHash, []string{aPath}, 1, 1, 0, []string{}, ""))
	f.Add(byte(2), message(1, aPath+".drv!out", 0, "", 1, 0, 1, 2, 1, "out", "{}"))
	f.Add(byte(3), message("nix-archive-1", "(", "type", "directory", "entry", "(", "name", "x", "node", "(", "type", "regular", "executable", "", "contents", "abc", ")", ")", "entry", "(", "name", "y", "node", "(", "type", "symlink", "target", "x", ")", ")", ")"))
	f.Add(byte(4), message(magicDaemon, 1<<8|35, "2.34.8", 1, stderrLast))
	f.Add(byte(5), message([]string{aPath}, []string{}, []string{}, 0, 0))
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		r := &reader{r: bufio.NewReader(bytes.NewReader(data))}
		switch kind % 6 {
		case 0:
			events := 0
			if e := r.messages(func(Event) { events++ }); e != nil && r.err != nil {
				t.Error("an error of the daemon and one of the conversation at once")
			}
			if events > len(data)/8 {
				t.Errorf("%d events in %d bytes", events, len(data))
			}
		case 1:
			if i := r.pathInfo(aPath); r.err == nil && (len(i.NarHash) != 71 || checkPaths(i.References) != nil) {
				t.Errorf("accepted %+v", i)
			}
		case 2:
			r.buildResults()
		case 3:
			var out bytes.Buffer
			n := narCopy{r: r, w: bufio.NewWriter(&out)}
			n.copy()
			_ = n.w.Flush()
			if r.err == nil && !bytes.HasPrefix(data, out.Bytes()) {
				t.Error("an archive was changed on its way")
			}
		case 4:
			c := &conn{r: r, w: writer{bufio.NewWriter(io.Discard)}}
			if c.handshake(); r.err == nil && (c.info.Protocol < protocolMin || c.info.Protocol > protocolMax) {
				t.Errorf("agreed on %+v", c.info)
			}
		case 5:
			for _, s := range r.strs() {
				_ = Plain(s)
			}
		}
		if r.err != nil {
			if before := r.r.Buffered(); r.u64() != 0 || r.r.Buffered() != before {
				t.Error("it went on reading after an error")
			}
		}
	})
}

// daemonThatSays runs a daemon that sends bytes and closes, whatever it is asked.
func daemonThatSays(t *testing.T, said []byte) *Client {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write(said)
			_ = c.(*net.UnixConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	c := NewClient(Config{Socket: l.Addr().String()})
	t.Cleanup(func() {
		_ = c.Close()
		_ = l.Close()
		<-ended
	})
	return c
}

// What a daemon must not send is a ProtocolError that says what is wrong.
func TestNonsense(t *testing.T) {
	hello := message(magicDaemon, 1<<8|35, "2.34.8", 1, stderrLast, stderrLast)
	then := func(parts ...any) []byte { return append(slices.Clone(hello), message(parts...)...) }
	for name, test := range map[string]struct {
		said []byte
		want string
	}{
		"another server":    {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "not the greeting"},
		"silence":           {nil, "unexpected EOF"},
		"too old":           {message(magicDaemon, 1<<8|33), "protocol 1.33"},
		"too new":           {message(magicDaemon, 2<<8|1), "protocol 2.1"},
		"unknown trust":     {message(magicDaemon, 1<<8|35, "x", 3), "unknown trust"},
		"unknown message":   {then(0x1234), "unknown message"},
		"unknown error":     {then(stderrError, "Oops"), "unknown kind of error"},
		"a write":           {then(stderrWrite, "data"), "not part of this request"},
		"endless string":    {then(stderrNext, 1<<40), "longer than allowed"},
		"endless list":      {then(stderrResult, 1, 101, 1<<40), "longer than allowed"},
		"padding":           {append(then(stderrNext, 1), "abcdefgh"...), "padding"},
		"cut off":           {then(stderrLast, 1, "", aHash), "unexpected EOF"},
		"no hash":           {then(stderrLast, 1, "", "1234", []string{}, 1, 1, 0, []string{}, ""), "not a SHA-256"},
		"no reference":      {then(stderrLast, 1, "", aHash, []string{"/etc/passwd"}, 1, 1, 0, []string{}, ""), "not a store path"},
		"unknown field":     {then(stderrResult, 1, 101, 1, 9), "unknown kind of field"},
		"a negative size":   {then(stderrLast, 1, "", aHash, []string{}, 1, -1, 0, []string{}, ""), "negative size"},
		"an error position": {then(stderrError, "Error", 0, "", "m", 1, 0), "position"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := daemonThatSays(t, test.said).PathInfo(t.Context(), aPath)
			var p *ProtocolError
			if !errors.As(err, &p) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	info, err := daemonThatSays(t, then(stderrNext, "x", stderrLast, 1, "", aHash, []string{aPath}, 1, 5, 0, []string{}, "")).PathInfo(t.Context(), aPath)
	if err != nil || info.NarSize != 5 {
		t.Errorf("what is in order: %+v, %v", info, err)
	}
	_, err = daemonThatSays(t, then(stderrError, "Error", 0, "", "\x1b[31mno\x1b[0m", 0, 1, 0, "since")).PathInfo(t.Context(), aPath)
	var e *Error
	if !errors.As(err, &e) || e.Message != "no" || !slices.Equal(e.Traces, []string{"since"}) {
		t.Errorf("an error of the daemon: %v", err)
	}
}

func TestNARNonsense(t *testing.T) {
	deep := []any{"nix-archive-1"}
	for range maxNARDepth + 2 {
		deep = append(deep, "(", "type", "directory", "entry", "(", "name", "d", "node")
	}
	for want, data := range map[string][]byte{
		"where \"nix-archive-1\" belongs": message("zip"),
		"unknown type":                    message("nix-archive-1", "(", "type", "socket"),
		"where a node ends":               message("nix-archive-1", "(", "type", "regular", "size"),
		"nested too deeply":               message(deep...),
		"longer than allowed":             message("nix-archive-1", "(", "type", "regular", "contents", -1),
	} {
		r := &reader{r: bufio.NewReader(bytes.NewReader(data))}
		n := narCopy{r: r, w: bufio.NewWriter(io.Discard)}
		n.copy()
		if r.err == nil || !strings.Contains(r.err.Error(), want) {
			t.Errorf("got %v, want %q", r.err, want)
		}
	}
}

func TestCheckStorePath(t *testing.T) {
	for path, ok := range map[string]bool{
		aPath:                            true,
		aPath + "-1.2+x?=.drv":           true,
		aPath + "/bin":                   false,
		aPath + "\n":                     false,
		aPath + strings.Repeat("a", 211): false,
		"/nix/store/" + strings.Repeat("e", 32) + "-a":         false, // not in the alphabet
		"/nix/store/" + strings.Repeat("0", 32) + "-.hidden":   false,
		"/nix/store/" + strings.Repeat("0", 32) + "-":          false,
		"/nix/store/../../etc/passwd-000000000000000000000000": false,
		"nix/store/" + strings.Repeat("0", 32) + "-a":          false,
		"": false,
	} {
		if err := CheckStorePath(path); ok != (err == nil) {
			t.Errorf("%q: %v", path, err)
		}
	}
	for target, ok := range map[string]bool{
		aPath: true, aPath + ".drv!out": true, aPath + ".drv!*": true, aPath + ".drv!out,dev": true,
		aPath + ".drv!": false, aPath + ".drv!a!b": false, "x!out": false,
	} {
		if err := checkTargets([]string{target}); ok != (err == nil) {
			t.Errorf("%q: %v", target, err)
		}
	}
}

// The numbers of the protocol are little endian.
func TestByteOrder(t *testing.T) {
	if got := binary.LittleEndian.Uint64([]byte("cxin\x00\x00\x00\x00")); got != magicClient {
		t.Errorf("%#x", got)
	}
}
