// Package registry asks package registries for what the catalog pins, through
// their ordinary clients: apt, npm and go. It never names a host: where each
// client goes is the machine's own configuration. Everything that the clients
// write stays under the directory that they are given.
package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/nixspace/nixspace"
)

// Error codes of this package.
const (
	CodeClientMissing = "client_missing"     // apt-get, npm or go is not installed
	CodeFetchFailed   = "fetch_failed"       // the client failed; it may be the network
	CodeDiskFull      = "disk_full"          // no space for a download
	CodeNoDebian      = "debian_not_known"   // no Debian mirror is configured
	CodeNotOffered    = "source_not_offered" // the registry no longer has what a pin names
)

// maxOutput bounds what is kept of a client's output, in bytes. Package indexes
// are read as a stream and not bounded by it.
const maxOutput = 8 << 20

// how says how to get a client that is missing.
var how = map[string]string{
	"apt-get":    "Debian's packages are fetched with apt: install apt (Debian, Ubuntu and Fedora package it)",
	"apt-cache":  "Debian's packages are fetched with apt: install apt (Debian, Ubuntu and Fedora package it)",
	"apt-config": "Debian's packages are fetched with apt: install apt (Debian, Ubuntu and Fedora package it)",
	"npm":        "PostgreSQL and Node.js are fetched with npm: install it (Debian and Ubuntu: apt-get install npm; Fedora: dnf install nodejs-npm)",
	"go":         "Go toolchains are fetched with go: install it (Debian and Ubuntu: apt-get install golang-go; Fedora: dnf install golang)",
}

// command prepares a client whose whole process group ends with ctx.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (*exec.Cmd, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, CodeClientMissing, "%s is not installed", name).WithHint("%s", how[name])
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd, nil
}

// output runs a client and returns what it printed.
func output(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	cmd, err := command(ctx, dir, env, name, args...)
	if err != nil {
		return nil, err
	}
	out, stderr := &bounded{limit: maxOutput}, &bounded{limit: 64 << 10}
	cmd.Stdout, cmd.Stderr = out, stderr
	if err := cmd.Run(); err != nil {
		return out.Bytes(), failure(ctx, name, err, stderr.String()+lastLines(out.String()))
	}
	if out.cut {
		return nil, fmt.Errorf("%s printed more than %d bytes", name, maxOutput)
	}
	return out.Bytes(), nil
}

// failure turns a failed client into an error that says what it said.
func failure(ctx context.Context, name string, err error, said string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if strings.Contains(said, "ENOSPC") || strings.Contains(strings.ToLower(said), "no space left on device") {
		return nixspace.Errorf(nixspace.KindLimit, CodeDiskFull, "the disk is full: %s could not write its download", name).
			WithHint("free some space in the state directory, or choose another with --state; what was fetched so far is kept")
	}
	e := nixspace.Errorf(nixspace.KindUnavailable, CodeFetchFailed, "%s failed: %s", name, summary(said, err)).
		WithHint("check that this machine reaches its package registries, then try again; what was fetched so far is kept")
	e.Err = errors.Join(err, errors.New(said))
	return e
}

// summary picks the line that most likely says what went wrong.
func summary(said string, err error) string {
	var last string
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "E: ") || strings.HasPrefix(line, "npm error ") || strings.HasPrefix(line, "npm ERR! ") {
			return clip(line)
		}
		if line != "" {
			last = line
		}
	}
	if last == "" {
		return err.Error()
	}
	return clip(last)
}

func clip(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

func lastLines(s string) string {
	if len(s) > 4096 {
		return s[len(s)-4096:]
	}
	return s
}

// bounded keeps the first limit bytes that are written to it, and takes the
// rest without keeping it.
type bounded struct {
	bytes.Buffer
	limit int
	cut   bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); room < len(p) {
		b.cut = true
		b.Buffer.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

var _ io.Writer = (*bounded)(nil)
