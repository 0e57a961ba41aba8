package wayout

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// conn is a program's connection: what it says, and what it is answered.
type conn struct {
	net.Conn // deadlines go nowhere
	answer   bytes.Buffer
}

func said(t testing.TB, program string) (*conn, *bufio.Reader) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return &conn{Conn: ours}, bufio.NewReaderSize(strings.NewReader(program), 4<<10)
}

func (c *conn) Write(b []byte) (int, error) { return c.answer.Write(b) }

func TestHTTPIsUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		says, host string
		port       int
		sent       string // to the host, before the rest of what is said
	}{
		"a tunnel":       {"CONNECT example.org:443 HTTP/1.1\r\nHost: other\r\n\r\nhello", "example.org", 443, "hello"},
		"a tunnel to v6": {"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n", "2001:db8::1", 443, ""},
		"a request": {
			"GET http://example.org/a?b HTTP/1.1\r\nHost: evil\r\nProxy-Authorization: x\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Kept: 2\r\n\r\n",
			"example.org", 80, "GET /a?b HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\nx-kept: 2\r\n\r\n",
		},
		"a body": {
			"POST http://example.org:81/ HTTP/1.1\r\nContent-Length: 2\r\nConnection: content-length\r\n\r\nab",
			"example.org", 81, "POST / HTTP/1.1\r\nHost: example.org:81\r\nConnection: close\r\ncontent-length: 2\r\n\r\nab",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tcp, r := said(t, c.says)
			want, err := httpWanted(tcp, r)
			if err != nil {
				t.Fatal(err)
			}
			sent, err := io.ReadAll(want.said)
			if err != nil || want.Host != c.host || want.Port != c.port || string(sent) != c.sent {
				t.Errorf("host %q, port %d, %v, sent:\n%q\nwant:\n%q", want.Host, want.Port, err, sent, c.sent)
			}
		})
	}
}

func TestHTTPIsRefused(t *testing.T) {
	for name, says := range map[string]string{
		"no proxy request":     "GET / HTTP/1.1\r\n\r\n",
		"another scheme":       "GET file:///etc/passwd HTTP/1.1\r\n\r\n",
		"two lengths":          "POST http://a/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"a length and chunks":  "POST http://a/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"another coding":       "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"a folded header":      "GET http://a/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
		"a bare line feed":     "GET http://a/ HTTP/1.1\nHost: a\r\n\r\n",
		"a space before colon": "GET http://a/ HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
		"no port":              "CONNECT example.org HTTP/1.1\r\n\r\n",
		"a port too many":      "CONNECT example.org:1:2 HTTP/1.1\r\n\r\n",
		"HTTP/2":               "PRI * HTTP/2.0\r\n\r\n",
		"endless headers":      "GET http://a/ HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", maxHeaders+1) + "\r\n",
		"an endless line":      "GET http://a/" + strings.Repeat("a", maxHead) + " HTTP/1.1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			tcp, r := said(t, says)
			want, err := httpWanted(tcp, r)
			if err == nil {
				t.Fatalf("it is taken: %+v", want)
			}
			if !strings.HasPrefix(tcp.answer.String(), "HTTP/1.1 400 Bad Request: ") {
				t.Errorf("the answer is %q", tcp.answer.String())
			}
		})
	}
}

// FuzzHTTP compares what is sent on with how another program reads it: a request of
// the same host that ends where ours does.
func FuzzHTTP(f *testing.F) {
	for _, s := range []string{
		"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
		"GET http://example.org/a?b HTTP/1.1\r\nHost: evil\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
		"POST http://example.org:81/ HTTP/1.0\r\nContent-Length: 2\r\n\r\nab",
		"POST http://[::1]/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, says string) {
		tcp, r := said(t, says)
		want, err := httpWanted(tcp, r)
		if err != nil {
			return
		}
		if want.Host == "" || want.Port < 1 || want.Port > 65535 || strings.ContainsAny(want.Host, "@/ \r\n") {
			t.Fatalf("it wants %q, %d", want.Host, want.Port)
		}
		if strings.HasPrefix(says, "CONNECT ") {
			return
		}
		sent, err := io.ReadAll(want.said)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(sent), "\r\n\r\n")
		if n := strings.Count(strings.ToLower(head), "\r\nhost: "); n != 1 {
			t.Fatalf("%d hosts in %q", n, head)
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(sent)))
		if err != nil {
			return // a server that refuses it does no harm
		}
		if !req.Close {
			t.Errorf("the connection is kept open: %q", head)
		}
		if host := strings.Trim(req.URL.Hostname()+req.Host, "[]"); req.Host != "" && !strings.Contains(host, want.Host) {
			t.Errorf("it is for %q, and goes to %q", req.Host, want.Host)
		}
	})
}

func TestSOCKSIsUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		says, host string
		port       int
	}{
		"a name":    {"\x05\x01\x00\x05\x01\x00\x03\x0bexample.org\x01\xbbrest", "example.org", 443},
		"IPv4":      {"\x05\x02\x02\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50rest", "127.0.0.1", 80},
		"IPv6":      {"\x05\x01\x00\x05\x01\x00\x04" + strings.Repeat("\x00", 15) + "\x01\x00\x50rest", "::1", 80},
		"no name":   {"\x05\x01\x00\x05\x01\x00\x03\x00\x01\xbb", "", 0},
		"port zero": {"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x00", "", 0},
		"bind":      {"\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", "", 0},
		"password":  {"\x05\x01\x02", "", 0},
		"cut off":   {"\x05\x01\x00\x05\x01\x00\x03\x0bexam", "", 0},
		"version 4": {"\x05\x01\x00\x04\x01\x00\x01\x7f\x00\x00\x01\x00\x50", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			tcp, r := said(t, c.says)
			want, err := socksWanted(tcp, r)
			if c.host == "" {
				if err == nil {
					t.Fatalf("it is taken: %+v", want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			rest, _ := io.ReadAll(want.said)
			if want.Host != c.host || want.Port != c.port || string(rest) != "rest" {
				t.Errorf("host %q, port %d, rest %q", want.Host, want.Port, rest)
			}
		})
	}
}

func FuzzSOCKS(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x03\x0bexample.org\x01\xbb"))
	f.Add([]byte("\x05\xff\x00"))
	f.Fuzz(func(t *testing.T, says []byte) {
		tcp, r := said(t, string(says))
		want, err := socksWanted(tcp, r)
		if err == nil && (want.Host == "" || want.Port < 1) {
			t.Fatalf("it wants %q, %d", want.Host, want.Port)
		}
		if len(tcp.answer.Bytes()) > 12 {
			t.Errorf("%d bytes of answers", tcp.answer.Len())
		}
	})
}
