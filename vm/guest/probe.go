package guest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace/vm/guest/journal"
)

// probeTimeout bounds one look at a service. Processors that are emulated on a
// busy host are slow.
const probeTimeout = 30 * time.Second

// probe looks once whether the service is ready: at its sockets first, because a
// program takes a processor that is emulated a tenth of a second to start.
func (sv *service) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ready := sv.spec.Ready
	if ready.Unix != "" {
		if err := connect(ctx, "unix", ready.Unix); err != nil {
			return err
		}
	}
	if ready.HTTP != "" {
		if err := probeHTTP(ctx, ready.TCP, ready.HTTP); err != nil {
			return err
		}
	} else if ready.TCP > 0 {
		if err := connect(ctx, "tcp", net.JoinHostPort("127.0.0.1", itoa(ready.TCP))); err != nil {
			return err
		}
	}
	if len(ready.Exec) > 0 {
		return sv.probeExec(ctx, ready.Exec)
	}
	return nil
}

func connect(ctx context.Context, network, address string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return c.Close()
}

// probeHTTP asks for a page. What comes after the first line of the answer is of
// no account, so this needs no more of HTTP than that.
func probeHTTP(ctx context.Context, port int, path string) error {
	address := net.JoinHostPort("127.0.0.1", itoa(port))
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	request := "GET " + path + " HTTP/1.1\r\nHost: localhost:" + itoa(port) + "\r\nUser-Agent: nixspace-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(io.LimitReader(c, maxStatusLine), maxStatusLine).ReadString('\n')
	if err != nil {
		return fmt.Errorf("GET %s on port %d: %w", path, port, err)
	}
	fields := strings.Fields(line)
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/1.") {
		return fmt.Errorf("GET %s on port %d: the answer is no HTTP", path, port)
	}
	if code, err := strconv.Atoi(fields[1]); err != nil || code < 200 || code >= 400 {
		return fmt.Errorf("GET %s on port %d: %s", path, port, strings.TrimSpace(strings.Join(fields[1:], " ")))
	}
	return nil
}

// maxStatusLine bounds the first line of an answer.
const maxStatusLine = 1 << 10

// probeExec runs a command. What it says is no part of the service's log: it would
// fill it with the same line.
func (sv *service) probeExec(ctx context.Context, argv []string) error {
	output := journal.NewLog()
	p, drained, err := sv.launch(argv, output)
	if err != nil {
		return err
	}
	name := filepath.Base(argv[0])
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.signal(unix.SIGKILL)
		<-p.done
		return fmt.Errorf("%s takes too long", name)
	}
	if p.exitCode() == 0 {
		return nil
	}
	select {
	case <-drained:
	case <-ctx.Done():
	}
	if said := output.Last(1, 200); said != "" {
		return fmt.Errorf("%s %s: %s", name, p.describe(), said)
	}
	return fmt.Errorf("%s %s", name, p.describe())
}
