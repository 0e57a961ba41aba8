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

// Proxy is a proxy on the loopback interface for programs that make their
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
	mu      sync.Mutex // guards tunnels.Add against Close, and failed
	failed  error
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

// Err returns why the last connection that failed did, or nil where none did. The
// program that wanted it mostly says something less clear.
func (x *Proxy) Err() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.failed
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

// connect dials and remembers what failed.
func (x *Proxy) connect(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := x.dial(ctx, network, address)
	if err != nil && ctx.Err() == nil {
		x.mu.Lock()
		x.failed = err
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
	join(x.ctx, near, buffered, far)
}

// join copies both ways between two connections until both have ended or ctx has.
// What comes from near is read from in.
func join(ctx context.Context, near net.Conn, in io.Reader, far net.Conn) {
	defer context.AfterFunc(ctx, func() {
		_ = far.SetDeadline(time.Unix(1, 0))
		_ = near.SetDeadline(time.Unix(1, 0))
	})()
	var both sync.WaitGroup
	both.Go(func() { pour(far, in) })
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
