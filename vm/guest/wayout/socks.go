package wayout

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/nixspace/nixspace"
)

// The numbers of SOCKS 5, RFC 1928.
const (
	socksVersion = 5

	socksConnect = 1

	socksIPv4 = 1
	socksName = 3
	socksIPv6 = 4

	socksOK            = 0
	socksFailed        = 1
	socksForbidden     = 2
	socksUnreachable   = 4
	socksNoCommand     = 7
	socksNoAddressType = 8
)

// socksWanted reads a request of SOCKS 5: CONNECT, without authentication. What
// it does not understand it has answered.
func socksWanted(tcp net.Conn, r *bufio.Reader) (*wanted, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(r, methods); err != nil {
		return nil, err
	}
	open := byte(0xff)
	for _, m := range methods {
		if m == 0 {
			open = 0
		}
	}
	if _, err := tcp.Write([]byte{socksVersion, open}); err != nil {
		return nil, err
	}
	if open != 0 {
		return nil, errors.New("the way out takes no passwords")
	}
	var request [4]byte
	if _, err := io.ReadFull(r, request[:]); err != nil {
		return nil, err
	}
	if request[0] != socksVersion {
		return nil, fmt.Errorf("version %d of SOCKS is not known", request[0])
	}
	host, err := socksHost(r, request[3])
	if err != nil {
		_ = socksAnswer(tcp, socksNoAddressType)
		return nil, err
	}
	var port [2]byte
	if _, err := io.ReadFull(r, port[:]); err != nil {
		return nil, err
	}
	if request[1] != socksConnect {
		_ = socksAnswer(tcp, socksNoCommand)
		return nil, fmt.Errorf("command %d of SOCKS is not known", request[1])
	}
	want := &wanted{
		said:  r,
		begin: func() error { return socksAnswer(tcp, socksOK) },
		fail: func(err error) {
			code := byte(socksFailed)
			switch nixspace.ErrorKind(err) {
			case nixspace.KindForbidden, nixspace.KindInvalid:
				code = socksForbidden
			case nixspace.KindUnavailable:
				code = socksUnreachable
			}
			_ = socksAnswer(tcp, code)
		},
	}
	want.Host, want.Port = host, int(binary.BigEndian.Uint16(port[:]))
	if want.Port == 0 || host == "" {
		_ = socksAnswer(tcp, socksFailed)
		return nil, errors.New("no host and port are asked for")
	}
	return want, nil
}

func socksHost(r io.Reader, kind byte) (string, error) {
	var size byte
	switch kind {
	case socksIPv4:
		size = 4
	case socksIPv6:
		size = 16
	case socksName:
		var n [1]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return "", err
		}
		size = n[0]
	default:
		return "", fmt.Errorf("addresses of type %d of SOCKS are not known", kind)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	if kind == socksName {
		return string(b), nil
	}
	a, _ := netip.AddrFromSlice(b)
	return a.String(), nil
}

func socksAnswer(w net.Conn, code byte) error {
	_ = w.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := w.Write([]byte{socksVersion, code, 0, socksIPv4, 0, 0, 0, 0, 0, 0})
	_ = w.SetWriteDeadline(time.Time{})
	return err
}
