package main

import (
	"errors"
	"io"
	"net"
	"os"
)

// connectUnix copies both ways between standard input and output and a socket, until
// the socket's other end is done.
func connectUnix(args []string) error {
	if len(args) != 1 {
		return errors.New("connect takes the path of a socket")
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: args[0], Net: "unix"})
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() {
		_, _ = io.Copy(conn, os.Stdin) // what is broken shows on the other way, too
		_ = conn.CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, conn)
	return err
}
