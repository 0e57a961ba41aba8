// Package helper runs NixSpace's own program in machines, as the user dev: what a
// server needs of a machine and the agent does not offer, such as SFTP. The program
// (cmd/nixspace-guest) is put into a machine when it is first needed there, so it
// costs no start anything, and machines that were started by an older server have it
// too.
package helper

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/nixspace/nixspace"
)

// The folder and not the file is embedded, so that the package builds without it.
//
//go:embed bin
var embedded embed.FS

const (
	name    = "nixspace-guest"
	maxSize = 64 << 20
)

// program is the program with the folder in machines where it belongs, which is
// named for its content: another version never stands in the way.
type program struct {
	dir     string
	content []byte
}

var load = sync.OnceValues(func() (program, error) {
	b, err := find()
	if err != nil {
		return program{}, err
	}
	sum := sha256.Sum256(b)
	return program{"/tmp/.nixspace-" + hex.EncodeToString(sum[:8]), b}, nil
})

// find returns the program that NIXSPACE_GUEST names, else the one that this program
// carries, else the one next to it, else the one in PATH.
func find() ([]byte, error) {
	if path := os.Getenv("NIXSPACE_GUEST"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, missing(err)
		}
		return b, nil
	}
	if f, err := embedded.Open("bin/" + name + ".gz"); err == nil {
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("unpack the guest's helper: %w", err)
		}
		return io.ReadAll(io.LimitReader(z, maxSize))
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
			return b, nil
		}
	}
	return nil, missing(os.ErrNotExist)
}

func missing(err error) error {
	return nixspace.Errorf(nixspace.KindUnavailable, "helper_missing", "this nixspace carries no program to put into machines and finds none: %w", err).
		WithHint("build with make build, or put nixspace-guest next to nixspace")
}

// Path returns where the program is in a machine, once it has been run there.
func Path() (string, error) {
	p, err := load()
	if err != nil {
		return "", err
	}
	return p.dir + "/" + name, nil
}

// Exec runs the program in a machine, with c's arguments after its own name. It fails
// with code "helper_missing" where there is no such program.
func Exec(ctx context.Context, m nixspace.Machine, c nixspace.Command) (nixspace.Process, error) {
	p, err := load()
	if err != nil {
		return nil, err
	}
	c.Argv = append([]string{p.dir + "/" + name}, c.Argv...)
	proc, err := m.Exec(ctx, c)
	if !lacking(err) {
		return proc, err
	}
	// It is not there, or is being put there for somebody else.
	putting.Lock()
	defer putting.Unlock()
	if proc, err = m.Exec(ctx, c); !lacking(err) {
		return proc, err
	}
	files, ok := m.(nixspace.Files)
	if !ok {
		return nil, err
	}
	if err := put(ctx, files, p); err != nil {
		return nil, err
	}
	return m.Exec(ctx, c)
}

// putting is held while the program is put into a machine.
var putting sync.Mutex

func lacking(err error) bool {
	code := nixspace.ErrorCode(err)
	return code == "command_not_found" || code == "command_not_executable"
}

func put(ctx context.Context, m nixspace.Files, p program) error {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(p.content))}); err != nil {
		return err
	}
	if _, err := w.Write(p.content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if _, err := m.WriteFiles(ctx, p.dir, &b, false); err != nil {
		return fmt.Errorf("put the helper into the machine: %w", err)
	}
	return nil
}
