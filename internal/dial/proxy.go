package dial

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// Proxy is an HTTP proxy on the loopback interface for programs that make their
// own connections, such as git: told to use it, they reach what the policy allows.
// Only who knows its password can use it.
type Proxy struct {
	dial     DialFunc
	listener net.Listener
	server   *http.Server
	password string
	forward  *httputil.ReverseProxy
	idle     func()

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	tunnels sync.WaitGroup
	mu      sync.Mutex // guards tunnels.Add against Close, and refused
	refused error
}

// DialFunc makes a connection, as [net.Dialer.DialContext].
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// proxyUser is the user name of every proxy.
const proxyUser = "nixspace"

// Serve starts a proxy by the policy. Close ends it.
func (p Policy) Serve() (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "proxy_unavailable", "the proxy for fetching cannot listen: %w", err)
	}
	x := &Proxy{dial: p.DialContext, listener: ln, password: rand.Text()}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	transport := p.Transport()
	transport.DialContext = x.connect
	x.idle = transport.CloseIdleConnections
	x.forward = &httputil.ReverseProxy{
		Transport:    transport,
		Rewrite:      func(r *httputil.ProxyRequest) { r.Out.Header.Del("Proxy-Authorization") },
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { fail(w, err) },
	}
	x.server = &http.Server{
		Handler: x, ReadHeaderTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	x.tunnels.Go(func() { _ = x.server.Serve(ln) }) // it ends with Close
	return x, nil
}

// URL returns the address of the proxy, with its password: it belongs into the
// environment of a program, and never into its arguments or a log.
func (x *Proxy) URL() *url.URL {
	return &url.URL{Scheme: "http", User: url.UserPassword(proxyUser, x.password), Host: x.listener.Addr().String()}
}

// Refused returns why the last refused connection was refused, or nil. A program
// that was refused mostly says something less clear.
func (x *Proxy) Refused() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.refused
}

// Close ends the proxy and every connection through it, and waits for that.
func (x *Proxy) Close() error {
	x.mu.Lock()
	x.cancel()
	x.mu.Unlock()
	err := x.server.Close()
	x.idle()
	x.tunnels.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (x *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(proxyUser+":"+x.password))
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Proxy-Authorization")), []byte(want)) != 1 {
		w.Header().Set("Proxy-Authenticate", `Basic realm="nixspace"`)
		http.Error(w, "this proxy has a password", http.StatusProxyAuthRequired)
		return
	}
	switch {
	case r.Method == http.MethodConnect:
		x.tunnel(w, r)
	case r.URL.Scheme == "http" && r.URL.Host != "":
		x.forward.ServeHTTP(w, r)
	default:
		http.Error(w, "this is a proxy", http.StatusBadRequest)
	}
}

// connect dials and remembers what was refused.
func (x *Proxy) connect(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := x.dial(ctx, network, address)
	if nixspace.ErrorCode(err) == CodeRefused {
		x.mu.Lock()
		x.refused = err
		x.mu.Unlock()
	}
	return c, err
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway
	if nixspace.ErrorCode(err) == CodeRefused {
		status = http.StatusForbidden
	}
	http.Error(w, http.StatusText(status), status)
}

func (x *Proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	far, err := x.connect(r.Context(), "tcp", r.Host)
	if err != nil {
		fail(w, err)
		return
	}
	defer far.Close()
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		fail(w, err)
		return
	}
	defer near.Close()
	x.mu.Lock()
	if x.ctx.Err() != nil {
		x.mu.Unlock()
		return
	}
	x.tunnels.Add(1) // the server does not wait for what was hijacked
	x.mu.Unlock()
	defer x.tunnels.Done()
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	defer context.AfterFunc(x.ctx, func() {
		_ = far.SetDeadline(time.Unix(1, 0))
		_ = near.SetDeadline(time.Unix(1, 0))
	})()
	var both sync.WaitGroup
	both.Go(func() { pour(far, buffered) })
	both.Go(func() { pour(near, far) })
	both.Wait()
}

// pour copies until src ends, and then ends that direction of dst.
func pour(dst net.Conn, src io.Reader) {
	if _, err := io.Copy(dst, src); err != nil {
		_ = dst.Close() // the other direction has nothing to say to a broken one
		return
	}
	if half, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // it may be closed already
	}
}

// Tunnel connects to address (host:port) through the proxy at the URL, as
// [Proxy.URL] returns it. It is how a program such as ssh is brought to use one.
func Tunnel(ctx context.Context, proxy *url.URL, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", proxy.Host)
	if err != nil {
		return nil, err
	}
	password, _ := proxy.User.Password()
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{
		"Proxy-Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password))},
	}}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := req.Write(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	status, err := readHead(c)
	if err == nil && status != "200" {
		err = nixspace.Errorf(nixspace.KindUnavailable, "connect_failed", "no connection to %s (%s)", address, status)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// readHead reads the head of an answer, and nothing that comes after it, and
// returns its status.
func readHead(r io.Reader) (string, error) {
	var head []byte
	for b := make([]byte, 1); len(head) < 8<<10; {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		head = append(head, b[0])
		if n := len(head); n >= 4 && string(head[n-4:]) == "\r\n\r\n" {
			if n < 12 || string(head[:7]) != "HTTP/1." {
				break
			}
			return string(head[9:12]), nil
		}
	}
	return "", errors.New("the proxy's answer is none of HTTP")
}
