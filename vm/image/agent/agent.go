// Package agent finds the program that runs as the first process of a guest.
package agent

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/nixspace/nixspace"
)

// The folder and not the file is embedded, so that the package builds without
// the agent.
//
//go:embed *
var embedded embed.FS

// name is the program's name; embeddedName is how the folder holds it.
const (
	name         = "nixspace-agent"
	embeddedName = name + ".gz"
	maxSize      = 64 << 20
)

// Binary returns the agent: the one named by NIXSPACE_AGENT, else the one that
// this program carries, else the one next to the running program, else the one
// in PATH. It fails with code "agent_missing" where there is none, and with
// "agent_not_static" for a program that a guest, which has no libraries yet,
// could not run.
func Binary() ([]byte, error) {
	b, from, err := find()
	if err != nil {
		return nil, err
	}
	if err := check(b); err != nil {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "agent_not_static",
			"the guest agent %s cannot be the first process of a guest: %w", from, err).
			WithHint("build it with CGO_ENABLED=0, as make build does")
	}
	return b, nil
}

func find() ([]byte, string, error) {
	if path := os.Getenv("NIXSPACE_AGENT"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, "", nixspace.Errorf(nixspace.KindUnavailable, "agent_missing", "NIXSPACE_AGENT cannot be read: %w", err)
		}
		return b, path, nil
	}
	f, err := embedded.Open(embeddedName)
	if err == nil {
		defer f.Close()
		b, err := unpack(f)
		if err != nil {
			return nil, "", fmt.Errorf("unpack the embedded agent: %w", err)
		}
		return b, "(embedded)", nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("open the embedded agent: %w", err)
	}
	var candidates []string
	if self, err := os.Executable(); err == nil {
		candidates = append(candidates, filepath.Join(filepath.Dir(self), name))
	}
	if path, err := exec.LookPath(name); err == nil {
		candidates = append(candidates, path)
	}
	for _, path := range candidates {
		if b, err := os.ReadFile(path); err == nil {
			return b, path, nil
		}
	}
	return nil, "", nixspace.Errorf(nixspace.KindUnavailable, "agent_missing", "this nixspace carries no guest agent and finds none").
		WithHint("build with make build, or put nixspace-agent next to nixspace")
}

func unpack(r io.Reader) ([]byte, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(z, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("larger than %d bytes", maxSize)
	}
	return b, nil
}

// check reports why b cannot run in an empty guest.
func check(b []byte) error {
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return err
	}
	if f.Machine != elf.EM_X86_64 {
		return fmt.Errorf("it is built for %v", f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it is linked dynamically")
		}
	}
	return nil
}
