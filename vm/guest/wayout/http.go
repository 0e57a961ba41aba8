package wayout

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// The limits of what a program may say before its connection.
const (
	maxHead    = 64 << 10
	maxHeaders = 200
)

// httpHead is the beginning of a request for a proxy.
type httpHead struct {
	method, target, version string
	headers                 []httpHeader
}

type httpHeader struct{ name, value string }

// httpWanted reads a request of HTTP: CONNECT, or one with a whole address. What
// it does not understand it has answered.
//
// Each connection carries one request only: it is sent on with "Connection:
// close", and what the program sends after it goes to the same host, whatever it
// says. So there is nothing that the two sides could understand in different ways.
func httpWanted(tcp net.Conn, r *bufio.Reader) (*wanted, error) {
	head, err := readHead(r)
	if err == nil {
		var want *wanted
		if want, err = head.wanted(tcp, r); err == nil {
			return want, nil
		}
	}
	if !errors.Is(err, io.EOF) {
		answerHTTP(tcp, 400, "Bad Request", err.Error(), "")
	}
	return nil, err
}

func (h *httpHead) wanted(tcp net.Conn, r *bufio.Reader) (*wanted, error) {
	want := &wanted{fail: func(err error) { refuseHTTP(tcp, err) }}
	if h.method == "CONNECT" {
		request, err := hostPort(h.target, 0)
		if err != nil {
			return nil, err
		}
		want.EgressRequest, want.said = request, r
		want.begin = func() error {
			_, err := io.WriteString(tcp, "HTTP/1.1 200 Connection established\r\n\r\n")
			return err
		}
		return want, nil
	}
	u, err := url.Parse(h.target)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.Opaque != "" {
		return nil, fmt.Errorf("this is the proxy of a NixSpace session: it takes CONNECT, and addresses that begin with http://")
	}
	if want.EgressRequest, err = hostPort(u.Host, 80); err != nil {
		return nil, err
	}
	head, err := h.forward(u)
	if err != nil {
		return nil, err
	}
	want.said = io.MultiReader(bytes.NewReader(head), r)
	want.begin = func() error { return nil }
	return want, nil
}

// hopByHop are the headers that mean the connection to the proxy.
var hopByHop = []string{"connection", "proxy-connection", "proxy-authorization", "proxy-authenticate", "keep-alive", "te", "upgrade", "host"}

// forward writes the head of the request as its server is to get it.
func (h *httpHead) forward(u *url.URL) ([]byte, error) {
	var lengths, codings int
	drop := slices.Clone(hopByHop)
	for _, f := range h.headers {
		switch f.name {
		case "content-length":
			if _, err := strconv.ParseUint(f.value, 10, 63); err != nil {
				return nil, fmt.Errorf("the content length %.40q is no number", f.value)
			}
			lengths++
		case "transfer-encoding":
			if !strings.EqualFold(f.value, "chunked") {
				return nil, fmt.Errorf("the transfer encoding %.40q is not known", f.value)
			}
			codings++
		case "connection":
			for option := range strings.SplitSeq(f.value, ",") {
				drop = append(drop, strings.ToLower(strings.TrimSpace(option)))
			}
		}
	}
	if lengths+codings > 1 {
		return nil, errors.New("the request says more than once where it ends")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\nConnection: close\r\n", h.method, u.RequestURI(), h.version, u.Host)
	for _, f := range h.headers {
		if f.name == "transfer-encoding" || f.name == "content-length" || !slices.Contains(drop, f.name) {
			fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
		}
	}
	b.WriteString("\r\n")
	return b.Bytes(), nil
}

// readHead reads a request up to its empty line. It takes nothing that two
// programs could read in different ways.
func readHead(r *bufio.Reader) (*httpHead, error) {
	limited := &headReader{r: r, left: maxHead}
	line, err := limited.line()
	if err != nil {
		return nil, err
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 || !token(parts[0]) || !visible(parts[1]) || parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0" {
		return nil, errors.New("that is no request of HTTP/1")
	}
	h := &httpHead{method: parts[0], target: parts[1], version: parts[2]}
	for {
		line, err := limited.line()
		if err != nil {
			return nil, noEOF(err)
		}
		if line == "" {
			return h, nil
		}
		name, value, found := strings.Cut(line, ":")
		if !found || !token(name) || len(h.headers) == maxHeaders {
			return nil, fmt.Errorf("the header %.80q is not understood", line)
		}
		h.headers = append(h.headers, httpHeader{strings.ToLower(name), strings.Trim(value, " \t")})
	}
}

// headReader reads lines of a head of bounded size.
type headReader struct {
	r    *bufio.Reader
	left int
}

func (h *headReader) line() (string, error) {
	var b []byte
	for {
		piece, err := h.r.ReadSlice('\n')
		if h.left -= len(piece); h.left < 0 {
			return "", fmt.Errorf("the request's head has more than %d bytes", maxHead)
		}
		b = append(b, piece...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			if len(b) > 0 {
				err = noEOF(err)
			}
			return "", err
		}
		s, crlf := strings.CutSuffix(string(b), "\r\n")
		if !crlf || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return "", errors.New("a line of the request's head has a control character")
		}
		return s, nil
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// token reports whether s is a method or the name of a header.
func token(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

func visible(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// hostPort reads "host:port", with a port to take where there is none.
func hostPort(s string, or int) (wire.EgressRequest, error) {
	host, port := s, or
	if h, p, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return wire.EgressRequest{}, fmt.Errorf("%.80q is no port", p)
		}
		host, port = h, int(n)
	} else if h, ok := strings.CutPrefix(s, "["); ok {
		host = strings.TrimSuffix(h, "]")
	}
	if host == "" || len(host) > 255 || port == 0 || strings.ContainsAny(host, "@/[]") {
		return wire.EgressRequest{}, fmt.Errorf("%.80q is no host and port", s)
	}
	return wire.EgressRequest{Host: host, Port: port}, nil
}

// refuseHTTP says why there is no connection.
func refuseHTTP(w net.Conn, err error) {
	code, text := 502, "Bad Gateway"
	switch nixspace.ErrorKind(err) {
	case nixspace.KindForbidden, nixspace.KindInvalid:
		code, text = 403, "Forbidden"
	case nixspace.KindLimit:
		code, text = 503, "Service Unavailable"
	}
	reason, hint := err.Error(), ""
	var known *nixspace.Error
	if errors.As(err, &known) {
		reason, hint = known.Message, known.Hint
	}
	answerHTTP(w, code, text, reason, hint)
}

// answerHTTP writes an answer for people: the reason is in its first line too,
// because that is what most programs show.
func answerHTTP(w net.Conn, code int, text, reason, hint string) {
	line := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, reason)
	body := "NixSpace: " + reason + "\n"
	if hint != "" {
		body += hint + "\n"
	}
	_ = w.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %d %s: %.300s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		code, text, line, len(body), body)
	// Closing with unread bytes would reset the connection, and the answer with it.
	if tcp, ok := w.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
		_ = tcp.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.CopyN(io.Discard, tcp, maxHead)
	}
}
