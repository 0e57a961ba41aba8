package preview

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/nixspace/nixspace"
)

const (
	// machineFor is how long a machine is asked without finding it again.
	machineFor = 2 * time.Second
	// waitForMachine is how long a person waits before a page says that the session
	// wakes.
	waitForMachine = 1500 * time.Millisecond
	wakeLimit      = 5 * time.Minute
	// idleConn is how long a connection is kept for the next request. An open
	// connection counts as work in the session.
	idleConn   = 10 * time.Second
	forgetPort = 5 * time.Minute
	portsMax   = 4096
)

type portKey struct {
	session nixspace.ID
	port    int
}

// port is the way to one port of one session.
type port struct {
	transport *http.Transport
	used      time.Time
	machine   nixspace.Machine
	found     time.Time
}

// port returns the way to a port, and forgets those that nobody uses.
func (p *Proxy) port(k portKey) *port {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, e := range p.ports {
		if now.Sub(e.used) > forgetPort || len(p.ports) > portsMax {
			e.transport.CloseIdleConnections()
			delete(p.ports, other)
		}
	}
	e := p.ports[k]
	if e == nil {
		e = &port{transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				m, err := p.machine(ctx, k)
				if err != nil {
					return nil, err
				}
				return m.Dial(ctx, k.port)
			},
			DisableCompression: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: idleConn,
		}}
		p.ports[k] = e
	}
	e.used = now
	return e
}

// Close ends connections that nobody uses.
func (p *Proxy) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, e := range p.ports {
		e.transport.CloseIdleConnections()
		delete(p.ports, k)
	}
}

// machine returns the session's machine, which it wakes.
func (p *Proxy) machine(ctx context.Context, k portKey) (nixspace.Machine, error) {
	p.mu.Lock()
	if e := p.ports[k]; e != nil && e.machine != nil && p.now().Sub(e.found) < machineFor {
		m := e.machine
		p.mu.Unlock()
		return m, nil
	}
	p.mu.Unlock()
	m, err := p.cfg.App.Machine(ctx, string(k.session))
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.ports[k]; e != nil {
		e.machine, e.found = m, p.now()
	}
	return m, err
}

// await returns once the machine runs. Where a person waits it gives up after a
// moment, while the session goes on to wake: then done is false.
func (p *Proxy) await(r *http.Request, k portKey) (done bool, err error) {
	if !navigates(r) {
		_, err := p.machine(r.Context(), k)
		return true, err
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), wakeLimit)
	go func() {
		defer cancel()
		_, err := p.machine(ctx, k)
		ended <- err
	}()
	timer := time.NewTimer(waitForMachine)
	defer timer.Stop()
	select {
	case err := <-ended:
		return true, err
	case <-timer.C:
		return false, nil
	}
}

// forward passes a request on to the session.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, session nixspace.ID, number int) {
	k := portKey{session, number}
	e := p.port(k)
	done, err := p.await(r, k)
	if err != nil {
		p.fail(w, r, k, err)
		return
	}
	if !done {
		show(w, r, page{
			Status: http.StatusServiceUnavailable, Code: "session_waking", Title: "The session wakes",
			Text: "It was put to rest. Its programs go on where they were.", Refresh: 1, Busy: true,
		})
		return
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	host := r.Host
	(&httputil.ReverseProxy{
		Transport:     e.transport,
		FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host = "http", "localhost:"+portText(number)
			// Programs see the address that the browser sees: their own checks of the
			// origin then hold.
			pr.Out.Host = host
			pr.SetXForwarded()
			pr.Out.Header.Set("X-Forwarded-Proto", scheme)
			pr.Out.Header.Set("X-Forwarded-Host", host)
			forwardCookies(pr.Out.Header)
		},
		ModifyResponse: func(res *http.Response) error {
			confineCookies(res.Header)
			res.Header.Del("Alt-Svc") // it would lead the browser elsewhere
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { p.fail(w, r, k, err) },
	}).ServeHTTP(w, r)
}

// fail says why there is nothing to see.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, k portKey, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody listens
	}
	p.mu.Lock()
	if e := p.ports[k]; e != nil {
		e.machine = nil
	}
	p.mu.Unlock()
	var known *nixspace.Error
	if !errors.As(err, &known) {
		p.cfg.Log.DebugContext(r.Context(), "a preview's request failed", "session", k.session, "port", k.port, "err", err)
		show(w, r, page{
			Status: http.StatusBadGateway, Code: "preview_broken", Title: "The answer broke off",
			Text: "The program on port " + portText(k.port) + " ended the connection without an answer that makes sense.",
			Hint: "Its output may say why.",
		})
		return
	}
	switch known.Code {
	case "port_refused":
		show(w, r, page{
			Status: http.StatusBadGateway, Code: known.Code, Title: "Nothing listens on port " + portText(k.port),
			Text: "As soon as a program in the session does, it is shown here.", Hint: "It must listen on 127.0.0.1, ::1 or all addresses.", Refresh: 2, Busy: true,
		})
	case "session_not_running":
		show(w, r, page{
			Status: http.StatusServiceUnavailable, Code: known.Code, Title: "The session does not run", Text: known.Message + ".",
			Hint: known.Hint, Refresh: 3, Link: p.sessionLink(r.Context(), k.session), Label: "Go to the session",
		})
	case "session_not_found":
		show(w, r, page{Status: http.StatusNotFound, Code: known.Code, Title: "There is no such session", Text: "It was deleted, or never was."})
	default:
		status := http.StatusServiceUnavailable
		if known.Kind == nixspace.KindForbidden {
			status = http.StatusForbidden
		}
		show(w, r, page{Status: status, Code: known.Code, Title: "The session cannot be reached", Text: known.Message + ".", Hint: known.Hint, Refresh: 3})
	}
}

// sessionLink is the address of a session's page.
func (p *Proxy) sessionLink(ctx context.Context, id nixspace.ID) string {
	s, err := p.cfg.App.Session(ctx, string(id))
	if err != nil || p.cfg.Platform == "" {
		return ""
	}
	u, err := url.Parse(p.cfg.Platform)
	if err != nil {
		return ""
	}
	return u.JoinPath("s", s.Ref()).String()
}
