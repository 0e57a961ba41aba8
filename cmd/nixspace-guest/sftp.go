package main

import (
	"errors"
	"io"
	"os"

	"github.com/pkg/sftp"
)

// stdio is standard input and output as one stream.
type stdio struct{}

func (stdio) Read(b []byte) (int, error)  { return os.Stdin.Read(b) }
func (stdio) Write(b []byte) (int, error) { return os.Stdout.Write(b) }

// Close ends both, so that neither side waits for the other.
func (stdio) Close() error { return errors.Join(os.Stdin.Close(), os.Stdout.Close()) }

// serveSFTP serves the files that the user dev may use. Paths are relative to the
// folder it was started in.
func serveSFTP([]string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	s, err := sftp.NewServer(stdio{}, sftp.WithServerWorkingDirectory(dir))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
