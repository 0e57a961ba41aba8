// Package egress is the host's end of the way out of a guest: it takes the
// connections that programs in the guest want, one by one, and makes those that
// the environment's policy allows.
//
// Nothing that a guest says is trusted. It names a host and a port and sends
// bytes; names are resolved here, and where a connection leads is decided on the
// address that it is made to (package dial). No protocol is parsed on this side.
package egress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/dial"
	"github.com/nixspace/nixspace/vm/wire"
)

// The limits of one machine.
const (
	maxOpen   = 64               // connections at a time
	maxBurst  = 200              // connections asked for at once, and then
	maxRate   = 50               // in a second: a guest is no scanner of networks
	dialTime  = 30 * time.Second // to resolve a name and connect
	idleTime  = 15 * time.Minute // without a byte in either direction
	maxHosts  = 100              // that are counted by themselves
	retryMin  = 50 * time.Millisecond
	retryMax  = 5 * time.Second
	tellEvery = 2 * time.Second // that counts are reported at most
)

// CodeRefused is the code of the error for a host that the policy does not name.
const CodeRefused = "egress_refused"

// Config is what a [Gateway] needs. Policy is required.
type Config struct {
	Policy nixspace.Egress
	// Private allows private networks, as dial.Policy does. This machine itself can
	// be reached only where the policy names it, besides.
	Private bool
	Log     *slog.Logger                // slog.Default() when nil
	Changed func(nixspace.EgressStatus) // told of new counts, now and then; may be nil
}

// Gateway makes connections for one machine. It is safe for concurrent use.
type Gateway struct {
	cfg   Config
	rules []nixspace.EgressHost
	net   dial.Policy
	log   *quietLog
	counts
}

// New returns a gateway. It fails where the policy names what is no host.
func New(cfg Config) (*Gateway, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	g := &Gateway{cfg: cfg, net: dial.Policy{Private: cfg.Private}, log: newQuietLog(cfg.Log)}
	g.hosts = map[string]*nixspace.EgressHostStatus{}
	for _, s := range cfg.Policy.Allow {
		h, err := nixspace.ParseEgressHost(s)
		if err != nil {
			return nil, fmt.Errorf("read the hosts that may be reached: %w", err)
		}
		g.rules = append(g.rules, h)
	}
	return g, nil
}

// Status returns what has gone through the gateway so far.
func (g *Gateway) Status() nixspace.EgressStatus {
	s := g.status()
	s.Policy = g.cfg.Policy.String()
	return s
}

// Acceptor is where connections come from: a [wire.Client].
type Acceptor interface {
	AcceptEgress(ctx context.Context) (*wire.Egress, error)
}

// Serve takes connections until ctx ends, and returns once they have all ended.
func (g *Gateway) Serve(ctx context.Context, from Acceptor) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { g.tell(ctx) })
	slots := make(chan struct{}, maxOpen)
	pace := rate.NewLimiter(maxRate, maxBurst)
	wait := retryMin
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		e, err := from.AcceptEgress(ctx)
		if err == nil {
			wait = retryMin
			all.Go(func() {
				defer func() { <-slots }()
				g.serve(ctx, e)
			})
			if pace.Wait(ctx) != nil {
				return
			}
			continue
		}
		<-slots
		if ctx.Err() != nil {
			return
		}
		if nixspace.ErrorCode(err) == "service_unknown" {
			g.cfg.Log.Warn("the machine's agent is older than the way out: nothing can be reached", "err", err)
			return
		}
		// The connection to the guest may be made anew just now.
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = min(2*wait, retryMax)
	}
}

// tell reports counts when they have changed.
func (g *Gateway) tell(ctx context.Context) {
	if g.cfg.Changed == nil {
		return
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if g.changed() {
				g.cfg.Changed(g.Status())
			}
		case <-ctx.Done():
			return
		}
	}
}

// serve makes one connection, or says why not.
func (g *Gateway) serve(ctx context.Context, e *wire.Egress) {
	defer e.Close()
	host, err := target(e.EgressRequest)
	key := net.JoinHostPort(host, strconv.Itoa(e.Port))
	if err != nil {
		g.refused("(no host)", err)
		_ = e.Refuse(err)
		return
	}
	conn, err := g.dial(ctx, host, e.Port)
	if err != nil {
		err = worded(host, e.Port, err)
		if nixspace.ErrorKind(err) == nixspace.KindForbidden {
			g.refused(key, err)
		} else {
			g.failed(key, err)
		}
		g.log.say("no connection out of the machine", "to", key, "err", reason(err))
		_ = e.Refuse(err)
		return
	}
	defer conn.Close()
	if first := g.opened(key); first {
		g.log.say("a connection out of the machine", "to", key)
	}
	defer g.closed()
	if e.Allow() == nil {
		g.pipe(ctx, key, e, conn)
	}
}

// target returns the host that a guest names, in the form that rules have.
func target(r wire.EgressRequest) (string, error) {
	h, err := nixspace.ParseEgressHost(r.Host)
	if err != nil || h.Below || h.EveryOne || h.Port != 0 {
		return "", nixspace.Errorf(nixspace.KindInvalid, "host_invalid", "%.100q is no host that could be reached", r.Host)
	}
	return h.Name, nil
}

// dial connects where the policy allows it.
func (g *Gateway) dial(ctx context.Context, host string, port int) (net.Conn, error) {
	allowed, named := g.cfg.Policy.Full, false
	for _, r := range g.rules {
		if r.Matches(host, port) {
			allowed = true
			named = named || !r.Below
		}
	}
	if !allowed {
		return nil, nixspace.Errorf(nixspace.KindForbidden, CodeRefused, "this environment may not reach %s", withPort(host, port)).
			WithHint("to allow it, add it to the list in nixspace.toml and start a session of the new version:\n\n  [network]\n  egress = [%q]\n", rule(host, port))
	}
	if err := g.net.CheckHost(host); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	d := net.Dialer{KeepAlive: 30 * time.Second, Control: func(network, address string, c syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if err := g.net.Check(ap.Addr()); err != nil {
			return err
		}
		if !named && own(ap.Addr()) {
			return nixspace.Errorf(nixspace.KindForbidden, dial.CodeRefused, "the address %s is refused: it is the server's own", ap.Addr())
		}
		return nil
	}}
	return d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
}

// own reports whether an address is one of this machine's.
func own(a netip.Addr) bool {
	a = a.Unmap()
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // who cannot tell refuses
	}
	for _, x := range addrs {
		if n, ok := x.(*net.IPNet); ok {
			if b, ok := netip.AddrFromSlice(n.IP); ok && b.Unmap() == a {
				return true
			}
		}
	}
	return false
}

// worded turns an error of a connection into one for whoever asked for it.
func worded(host string, port int, err error) error {
	var known *nixspace.Error
	if errors.As(err, &known) {
		return known
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return nixspace.Errorf(nixspace.KindUnavailable, "host_unknown", "the name %s cannot be resolved by the server: %s", host, dns.Err)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err // without addresses
	}
	return nixspace.Errorf(nixspace.KindUnavailable, "connect_failed", "the server cannot connect to %s: %w", withPort(host, port), err)
}

// reason is an error without advice.
func reason(err error) string {
	var known *nixspace.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return err.Error()
}

func withPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// rule returns how the list of a manifest names a host and port.
func rule(host string, port int) string {
	h := nixspace.EgressHost{Name: host, Port: port}
	if port == 80 || port == 443 {
		h.Port = 0
	}
	return h.String()
}
