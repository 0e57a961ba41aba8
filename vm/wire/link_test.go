package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connected returns the two ends of a unix socket.
func connected(t *testing.T) (host, guest net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			c = nil
		}
		accepted <- c
	}()
	host, err = net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if guest = <-accepted; guest == nil {
		t.Fatal("no connection")
	}
	t.Cleanup(func() { _ = host.Close(); _ = guest.Close() })
	return host, guest
}

// echoGuest is a guest whose only service answers a ping on every stream. Before
// each marker it leaves some junk on the data port.
func echoGuest(ctl, data net.Conn, version int, junk string) {
	var scan LineScanner
	buf := make([]byte, 64)
	var stop func()
	defer func() {
		if stop != nil {
			stop()
		}
	}()
	for {
		n, err := ctl.Read(buf)
		for _, l := range scan.Feed(buf[:n]) {
			switch l.Verb {
			case VerbReset:
				if stop != nil {
					stop()
				}
				_ = data.SetDeadline(time.Time{})
				_, _ = io.WriteString(data, junk+Marker(l.Arg))
				mux, err := NewGuestMux(&muxPort{Conn: data})
				if err != nil {
					return
				}
				stop = func() { _ = mux.Close() }
				go func() {
					for {
						s, err := mux.Accept()
						if err != nil {
							return
						}
						go func() {
							defer func() { _ = s.Close() }()
							if h, err := Accept(s); err == nil && h.Service == ServicePing {
								_ = Reply(s, Pong{Version: Version})
							}
							_, _ = io.Copy(io.Discard, s)
						}()
					}
				}()
				_ = WriteLine(ctl, Line{VerbOK, l.Arg})
			case VerbHello:
				_ = WriteLine(ctl, Line{VerbReady, strconv.Itoa(version)})
			}
		}
		if err != nil {
			return
		}
	}
}

func newTestLink(t *testing.T, version int, junk string) *Link {
	t.Helper()
	hostCtl, guestCtl := connected(t)
	hostData, guestData := connected(t)
	done := make(chan struct{})
	go func() { defer close(done); echoGuest(guestCtl, guestData, version, junk) }()
	link := NewLink(hostCtl, hostData)
	t.Cleanup(func() { _ = link.Close(); <-done })
	return link
}

func TestALinkCanBeResetAgainAndAgain(t *testing.T) {
	link := newTestLink(t, Version, "stale bytes \x00nixspace dead\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := link.Open(ctx); nixspace.ErrorCode(err) != "machine_not_connected" {
		t.Errorf("before the first reset: %v", err)
	}
	client := NewClient(link.Open)
	for range 5 {
		if err := link.Reset(ctx); err != nil {
			t.Fatal(err)
		}
		before := link.Done()
		for range 3 {
			if p, err := client.Ping(ctx); err != nil || p.Version != Version {
				t.Fatal(p, err)
			}
		}
		open, err := link.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := link.Reset(ctx); err != nil {
			t.Fatal(err)
		}
		<-before
		if _, err := open.Read(make([]byte, 1)); err == nil {
			t.Error("a stream survives a reset")
		}
	}
}

func TestAResetGetsThroughAPortThatIsFull(t *testing.T) {
	link := newTestLink(t, Version, strings.Repeat("stale", 1<<20))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := link.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(link.Open).Ping(ctx); err != nil {
		t.Error(err)
	}
}

func TestALinkRefusesAnotherVersion(t *testing.T) {
	link := newTestLink(t, 7, "")
	if err := link.Reset(t.Context()); nixspace.ErrorCode(err) != "version_unsupported" {
		t.Errorf("%v", err)
	}
}

func TestResetStopsWithItsContext(t *testing.T) {
	hostCtl, _ := connected(t)
	hostData, _ := connected(t)
	link := NewLink(hostCtl, hostData)
	defer func() { _ = link.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := link.Reset(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAMachineThatGoesAwayIsReported(t *testing.T) {
	hostCtl, guestCtl := connected(t)
	hostData, guestData := connected(t)
	done := make(chan struct{})
	go func() { defer close(done); echoGuest(guestCtl, guestData, Version, "") }()
	link := NewLink(hostCtl, hostData)
	defer func() { _ = link.Close(); <-done }()
	if err := link.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = guestData.Close()
	<-link.Done()
	if _, err := NewClient(link.Open).Ping(t.Context()); nixspace.ErrorCode(err) != "machine_lost" {
		t.Errorf("%v", err)
	}
}

func TestAGuestMayNotOpenStreams(t *testing.T) {
	hostCtl, guestCtl := connected(t)
	hostData, guestData := connected(t)
	link := NewLink(hostCtl, hostData)
	defer func() { _ = link.Close() }()
	guest := make(chan error, 1)
	go func() {
		var scan LineScanner
		buf := make([]byte, 64)
		for {
			n, err := guestCtl.Read(buf)
			if err != nil {
				guest <- err
				return
			}
			for _, l := range scan.Feed(buf[:n]) {
				if l.Verb == VerbReset {
					_, _ = io.WriteString(guestData, Marker(l.Arg))
					_ = WriteLine(guestCtl, Line{VerbOK, l.Arg})
				}
				if l.Verb == VerbHello {
					_ = WriteLine(guestCtl, Line{VerbReady, "1"})
					mux, err := NewGuestMux(guestData)
					if err == nil {
						defer func() { _ = mux.Close() }()
						_, err = mux.Open()
					}
					guest <- err
				}
			}
		}
	}()
	if err := link.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-guest; err != nil {
		t.Fatal(err)
	}
	<-link.Done()
	_ = guestCtl.Close()
}
