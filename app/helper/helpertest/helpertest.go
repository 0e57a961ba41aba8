// Package helpertest gives tests the program that is put into machines.
package helpertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var dir string

var build = sync.OnceValues(func() (path string, err error) {
	if dir, err = os.MkdirTemp("", "nixspace-guest-"); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "nixspace-guest")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "github.com/nixspace/nixspace/cmd/nixspace-guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// Use builds the program, once, and lets package helper find it. The package's
// TestMain must call [Remove].
func Use(t testing.TB) {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NIXSPACE_GUEST", path)
}

// Remove deletes what was built, and what machines that have this one's /tmp were
// given.
func Remove() {
	_ = os.RemoveAll(dir)
	left, _ := filepath.Glob("/tmp/.nixspace-*")
	for _, d := range left {
		_ = os.RemoveAll(d)
	}
}
