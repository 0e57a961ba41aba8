package daemon

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	magicClient = 0x6e697863
	magicDaemon = 0x6478696f

	protocolMajor = 1
	protocolMin   = 34 // Nix 2.8
	protocolMax   = 35 // Nix 2.15: the daemon says whether it trusts us
)

// Trust says whether a daemon lets us choose its settings.
type Trust int

// What a daemon says. Before Nix 2.15 it says nothing.
const (
	TrustUnknown Trust = iota
	Trusted
	NotTrusted
)

// Info is what a daemon says of itself.
type Info struct {
	Version  string // of Nix: "2.8.0"
	Protocol int    // the minor protocol version in use: 35 for 1.35
	Trust    Trust
}

// Options are the settings that a connection asks the daemon to work with. A
// daemon that does not trust us ignores most of them.
type Options struct {
	KeepGoing bool          // go on with other builds after one failed
	MaxJobs   int           // builds at the same time; 1 when 0
	Cores     int           // per build; all when 0
	MaxSilent time.Duration // a build that prints nothing for so long is ended; never when 0
	Timeout   time.Duration // a build that takes so long is ended; never when 0
	// Substitute allows the daemon to fetch paths from its caches.
	Substitute bool
	// Settings are further ones by their name in nix.conf.
	Settings map[string]string
}

// conn is one connection, used by one caller at a time.
type conn struct {
	c    *net.UnixConn
	r    *reader
	w    writer
	info Info
	// broken is set when the conversation is no longer in step.
	broken bool
}

func dial(ctx context.Context, socket string, o Options) (*conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, &ProtocolError{Op: "connect", Err: err}
	}
	c := newConn(nc.(*net.UnixConn))
	if err := c.open(ctx, o); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return c, nil
}

func newConn(nc *net.UnixConn) *conn {
	return &conn{
		c: nc,
		r: &reader{r: bufio.NewReaderSize(nc, 32<<10)},
		w: writer{bufio.NewWriterSize(nc, 32<<10)},
	}
}

func (c *conn) open(ctx context.Context, o Options) error {
	err := c.guard(ctx, "handshake", func() *Error {
		c.w.u64(magicClient)
		c.flush()
		return c.handshake()
	})
	if err != nil {
		return err
	}
	return c.do(ctx, "SetOptions", func() {
		c.w.u64(opSetOptions)
		c.w.bool(false) // keep failed builds
		c.w.bool(o.KeepGoing)
		c.w.bool(false) // fall back to building when a substitute fails
		c.w.u64(0)      // verbosity: errors; activities and build logs come at any
		c.w.u64(uint64(max(o.MaxJobs, 1)))
		c.w.u64(uint64(o.MaxSilent / time.Second))
		c.w.bool(true) // obsolete: use the build hook
		c.w.u64(7)     // build logs as results of an activity, not as messages
		c.w.u64(0)     // obsolete
		c.w.u64(0)     // obsolete
		c.w.u64(uint64(max(o.Cores, 0)))
		c.w.bool(o.Substitute)
		settings := maps.Clone(o.Settings)
		if o.Timeout > 0 {
			if settings == nil {
				settings = map[string]string{}
			}
			settings["timeout"] = strconv.FormatInt(int64(o.Timeout/time.Second), 10)
		}
		c.w.u64(uint64(len(settings)))
		for _, k := range slices.Sorted(maps.Keys(settings)) {
			c.w.str(k)
			c.w.str(settings[k])
		}
	}, nil, nil)
}

// handshake reads the daemon's greeting and agrees on a version (Nix:
// RemoteStore::initConnection).
func (c *conn) handshake() *Error {
	if m := c.r.u64(); c.r.err == nil && m != magicDaemon {
		c.r.fail(fmt.Errorf("%#x is not the greeting of a nix daemon", m))
	}
	theirs := c.r.u64()
	if c.r.err != nil {
		return nil //nolint:nilerr // c.r keeps the error
	}
	major, minor := theirs>>8&0xff, int(theirs&0xff)
	if major != protocolMajor || minor < protocolMin {
		c.r.fail(fmt.Errorf("it speaks protocol %d.%d; at least %d.%d (Nix 2.8) is needed",
			major, minor, protocolMajor, protocolMin))
		return nil
	}
	c.info.Protocol = min(minor, protocolMax)
	c.w.u64(uint64(protocolMajor<<8 | c.info.Protocol))
	c.w.u64(0) // obsolete: CPU affinity
	c.w.u64(0) // obsolete: reserve space
	c.flush()
	c.info.Version = Plain(c.r.str())
	if c.info.Protocol >= 35 {
		switch t := c.r.u64(); t {
		case 0, 1, 2:
			c.info.Trust = Trust(t)
		default:
			c.r.fail(fmt.Errorf("unknown trust %d", t))
		}
	}
	return c.r.messages(nil)
}

func (c *conn) flush() {
	if err := c.w.w.Flush(); err != nil {
		c.r.fail(err)
	}
}

// do sends a request, reads the daemon's messages, and then its reply. It returns
// an *Error or a *ProtocolError.
func (c *conn) do(ctx context.Context, op string, request func(), on func(Event), reply func()) error {
	return c.guard(ctx, op, func() *Error {
		request()
		c.flush()
		if e := c.r.messages(on); e != nil {
			return e
		}
		if reply != nil && c.r.err == nil {
			reply()
		}
		return nil
	})
}

// guard runs one exchange, ends it when ctx ends, and turns what went wrong into
// an error.
func (c *conn) guard(ctx context.Context, op string, exchange func() *Error) error {
	if err := ctx.Err(); err != nil {
		return &ProtocolError{Op: op, Err: context.Cause(ctx)}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.c.SetDeadline(time.Unix(1, 0)) })
	e := exchange()
	if !stop() {
		// The deadline may be set at any time from now on.
		c.broken = true
	}
	if c.r.err != nil {
		c.broken = true
		err := c.r.err
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return &ProtocolError{Op: op, Err: err}
	}
	if e != nil {
		return e
	}
	return nil
}

// alive reports whether an idle connection can still be used: the daemon has
// neither closed it nor sent anything.
func (c *conn) alive() bool {
	if c.broken || c.r.r.Buffered() > 0 {
		return false
	}
	raw, err := c.c.SyscallConn()
	if err != nil {
		return false
	}
	alive := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, e := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		alive = e == syscall.EAGAIN
		return true
	})
	return err == nil && alive
}
