package egress

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
)

// TestHeads sends what is no request, or more than one.
func TestHeads(t *testing.T) {
	var seen []string
	var mu sync.Mutex
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				b, _ := io.ReadAll(c)
				mu.Lock()
				seen = append(seen, string(b))
				mu.Unlock()
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			})
		}
	})
	defer serving.Wait()
	defer l.Close()
	to := l.Addr().String()
	m := newMachine(t, Config{Policy: nixspace.Egress{Allow: []string{to}}, Private: true})
	say := func(text string) string {
		c, err := net.Dial("tcp", m.proxy.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		go func() {
			_, _ = io.WriteString(c, text)
			_ = c.(*net.TCPConn).CloseWrite()
		}()
		b, _ := io.ReadAll(c)
		return string(b)
	}
	get := "GET http://" + to + "/x HTTP/1.1\r\n"
	for text, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: " + to + "\r\n\r\n":                       "this is the proxy of a NixSpace session",
		"GET https://" + to + "/ HTTP/1.1\r\n\r\n":                         "this is the proxy",
		"GET file:///etc/passwd HTTP/1.1\r\n\r\n":                          "this is the proxy",
		"CONNECT " + to + "\r\n\r\n":                                       "no request of HTTP/1",
		"CONNECT nowhere HTTP/1.1\r\n\r\n":                                 "no host and port",
		"CONNECT a:b:c HTTP/1.1\r\n\r\n":                                   "no host and port",
		"CONNECT x@" + to + " HTTP/1.1\r\n\r\n":                            "no host and port",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                 "no request of HTTP/1",
		"GET http://" + to + "/ HTTP/1.1\nX: y\n\n":                        "control character",
		get + "A: b\rc\r\n\r\n":                                            "control character",
		get + " folded: x\r\n\r\n":                                         "not understood",
		get + "Content-Length : 3\r\n\r\nabc":                              "not understood",
		get + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc":          "more than once",
		get + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc": "more than once",
		get + "Content-Length: -3\r\n\r\nabc":                              "no number",
		get + "Transfer-Encoding: chunked, identity\r\n\r\n":               "not known",
		get + strings.Repeat("X: y\r\n", 1000) + "\r\n":                    "not understood",
		get + "X: " + strings.Repeat("y", 100_000) + "\r\n\r\n":            "more than 65536 bytes",
		strings.Repeat("x", 100_000):                                       "more than 65536 bytes",
		"\x05\x01\x02":                                                     "\x05\xff",
		"\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50":             "\x05\x00\x05\x07",
		"\x05\x01\x00\x05\x01\x00\x09":                                     "\x05\x00\x05\x08",
	} {
		if got := say(text); !strings.Contains(got, want) {
			t.Errorf("%.60q is answered %.200q, want %q", text, got, want)
		}
	}
	mu.Lock()
	if len(seen) != 0 {
		t.Errorf("the server heard %q", seen)
	}
	mu.Unlock()

	// A second request on the connection goes nowhere else, and headers for the
	// proxy do not go on.
	got := say("POST http://" + to + "/x?y HTTP/1.1\r\nHost: other.example\r\nProxy-Authorization: secret\r\nConnection: keep-alive, x-own\r\nX-Own: 1\r\nX-Kept: 2\r\nContent-Length: 3\r\n\r\nabc" +
		"GET http://10.0.0.1/ HTTP/1.1\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("answered %q", got)
	}
	want := "POST /x?y HTTP/1.1\r\nHost: " + to + "\r\nConnection: close\r\nx-kept: 2\r\ncontent-length: 3\r\n\r\nabcGET http://10.0.0.1/ HTTP/1.1\r\n\r\n"
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 1 || seen[0] != want {
		t.Errorf("the server heard %q, want %q", seen, want)
	}
}
