package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/yamux"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace/vm/wire"
)

// A port without a host at its other end reads as if it had ended, and one that
// the kernel has not announced yet does not exist: both are looked at again, ever
// more seldom.
const (
	retryMin = 2 * time.Millisecond
	retryMax = 200 * time.Millisecond
)

// portServer serves the control port and, over the data port, the agent.
type portServer struct {
	agent *Agent
	open  func(name string) (io.ReadWriteCloser, error)

	mux *yamux.Session
	end context.CancelFunc
}

// run serves until ctx ends.
func (s *portServer) run(ctx context.Context) {
	defer s.hangUp()
	for {
		ctl, err := s.await(ctx, wire.PortCtl)
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { _ = ctl.Close() })
		err = s.control(ctx, ctl)
		stop()
		_ = ctl.Close()
		if ctx.Err() != nil {
			return
		}
		s.agent.log.Warn("control port lost", "error", err)
	}
}

// await opens a port as soon as that is possible.
func (s *portServer) await(ctx context.Context, name string) (io.ReadWriteCloser, error) {
	wait := retryMin
	for {
		port, err := s.open(name)
		if err == nil {
			return port, nil
		}
		if wait == retryMax && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EBUSY) {
			s.agent.log.Warn("open port", "port", name, "error", err)
		}
		if !sleep(ctx, wait) {
			return nil, ctx.Err()
		}
		wait = min(2*wait, retryMax)
	}
}

// control answers the lines of the control port until it fails.
func (s *portServer) control(ctx context.Context, ctl io.ReadWriter) error {
	var scan wire.LineScanner
	buf := make([]byte, 4*wire.MaxLine)
	wait := retryMin
	for {
		n, err := ctl.Read(buf)
		for _, line := range scan.Feed(buf[:n]) {
			answer, ok := s.answer(ctx, line)
			if !ok {
				continue
			}
			if err := wire.WriteLine(ctl, answer); err != nil {
				return err
			}
		}
		switch {
		case n > 0:
			wait = retryMin
		case err == nil || errors.Is(err, io.EOF):
			if !sleep(ctx, wait) {
				return ctx.Err()
			}
			wait = min(2*wait, retryMax)
		default:
			return err
		}
	}
}

func (s *portServer) answer(ctx context.Context, line wire.Line) (wire.Line, bool) {
	switch line.Verb {
	case wire.VerbReset:
		if err := s.reset(ctx, line.Arg); err != nil {
			s.agent.log.Error("reset", "error", err)
			return wire.Line{Verb: wire.VerbError, Arg: line.Arg + " reset failed"}, true
		}
		return wire.Line{Verb: wire.VerbOK, Arg: line.Arg}, true
	case wire.VerbHello:
		return wire.Line{Verb: wire.VerbReady, Arg: strconv.Itoa(min(line.Number(), wire.Version))}, true
	}
	return wire.Line{}, false
}

// reset ends all streams and begins anew on the data port, with the marker that
// tells the host where.
func (s *portServer) reset(ctx context.Context, nonce string) error {
	s.hangUp()
	port, err := s.await(ctx, wire.PortData)
	if err != nil {
		return err
	}
	if p, ok := port.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = p.SetWriteDeadline(time.Now().Add(10 * time.Second)) // a host that asks also reads
		defer func() { _ = p.SetWriteDeadline(time.Time{}) }()
	}
	if _, err := io.WriteString(port, wire.Marker(nonce)); err != nil {
		_ = port.Close()
		return fmt.Errorf("mark the data port: %w", err)
	}
	mux, err := wire.NewGuestMux(port)
	if err != nil {
		_ = port.Close()
		return err
	}
	ctx, s.end = context.WithCancel(ctx)
	s.mux = mux
	go func() {
		s.agent.Serve(ctx, mux.Accept)
		_ = mux.Close()
	}()
	return nil
}

// hangUp ends the present session and frees the data port. What its streams held
// ends by itself.
func (s *portServer) hangUp() {
	if s.mux == nil {
		return
	}
	s.end()
	_ = s.mux.Close()
	s.mux = nil
}

// openPort opens the virtio-serial port of that name.
func openPort(name string) (io.ReadWriteCloser, error) {
	const class = "/sys/class/virtio-ports"
	ports, err := os.ReadDir(class)
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		b, err := os.ReadFile(class + "/" + p.Name() + "/name")
		if err == nil && strings.TrimSpace(string(b)) == name {
			return os.OpenFile("/dev/"+p.Name(), os.O_RDWR, 0)
		}
	}
	return nil, fmt.Errorf("virtio port %s: %w", name, fs.ErrNotExist)
}
