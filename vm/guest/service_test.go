package guest

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestProbeHTTP(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 200 OK\r\n\r\n":                      "",
		"HTTP/1.0 204\r\n":                             "",
		"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n":   "",
		"HTTP/1.1 404 Not Found\r\n\r\n":               "404 Not Found",
		"HTTP/1.1 503 Service Unavailable\r\n\r\nno\n": "503 Service Unavailable",
		"HTTP/1.1 100 Continue\r\n\r\n":                "100 Continue",
		"HTTP/1.1 -200 OK\r\n\r\n":                     "-200 OK",
		"SSH-2.0-OpenSSH\r\n":                          "no HTTP",
		"\n":                                           "no HTTP",
		"":                                             "EOF",
		"HTTP/1.1 " + strings.Repeat("2", 1<<20):       "EOF",
	} {
		port, asked := answerOnce(t, answer)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := probeHTTP(ctx, port, "/health?x=1")
		cancel()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q: %v, want %q", answer, err, want)
		}
		if got := <-asked; !strings.HasPrefix(got, "GET /health?x=1 HTTP/1.1\r\nHost: localhost:"+itoa(port)+"\r\n") {
			t.Errorf("it asks %q", got)
		}
	}
	// One that answers nothing takes no longer than the look at it may.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := probeHTTP(ctx, silent.Addr().(*net.TCPAddr).Port, "/"); err == nil {
		t.Error("a server that is silent is ready")
	}
}

// answerOnce serves one connection and says what it was asked.
func answerOnce(t *testing.T, answer string) (port int, asked <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan string, 1)
	go func() {
		defer l.Close()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var got []byte
		buf := make([]byte, 1024)
		for !strings.Contains(string(got), "\r\n\r\n") {
			n, err := c.Read(buf)
			if err != nil {
				break
			}
			got = append(got, buf[:n]...)
		}
		ch <- string(got)
		_, _ = c.Write([]byte(answer))
	}()
	return l.Addr().(*net.TCPAddr).Port, ch
}

func TestAStateIsBoundedAsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"<", "\"", "\x00", "\n", "\xff", "ü"})).Draw(t, "text")
		s = strings.Repeat(s, rapid.IntRange(0, 2000).Draw(t, "times"))
		got := clipStatus(printable(s))
		b, err := json.Marshal(got)
		if err != nil || len(b) > maxStatusText {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
	})
	if got := clipStatus("it failed"); got != "it failed" {
		t.Errorf("%q", got)
	}
	if got := clipStatus("begin" + strings.Repeat("x", 5000) + "end"); !strings.HasPrefix(got, "begin") || !strings.HasSuffix(got, "end") {
		t.Errorf("%q", got)
	}
}
