// Package filelock lets one process at a time do something, by the advisory lock
// (flock) of a file. The lock ends with the process that has it, however that ends.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLocked says that somebody else has the lock.
var ErrLocked = errors.New("locked by another process")

// Lock is a lock that is held.
type Lock struct{ f *os.File }

// Unlock gives the lock back. The file stays.
func (l *Lock) Unlock() error { return l.f.Close() }

// File returns the locked file, for who writes into it whose lock it is.
func (l *Lock) File() *os.File { return l.f }

// Try takes the lock of the file at path, which is made where it is missing, or
// returns [ErrLocked]. Its folder must exist.
func Try(path string) (*Lock, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{f}, nil
}

// Wait takes the lock of the file at path as soon as it is free. When ctx ends
// first, it returns what ended it.
func Wait(ctx context.Context, path string) (*Lock, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, f, unix.LOCK_EX); err != nil {
		return nil, err
	}
	return &Lock{f}, nil
}

// Held reports whether some process has the lock of the file at path. Whoever
// tries to take the lock at this very moment may be refused.
func Held(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = flock(f, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, ErrLocked) {
		return true, nil
	}
	return false, err
}

// WaitFree returns when nobody has the lock of the file at path, or when ctx
// ends.
func WaitFree(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := wait(ctx, f, unix.LOCK_SH); err != nil {
		return err
	}
	return f.Close()
}

func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// wait locks f in the way of how. It closes f when it fails.
func wait(ctx context.Context, f *os.File, how int) error {
	// Mostly it is free, and needs no thread that waits.
	if err := flock(f, how|unix.LOCK_NB); !errors.Is(err, ErrLocked) {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
		return err
	}
	got := make(chan error, 1)
	go func() { got <- flock(f, how) }()
	select {
	case err := <-got:
		if err != nil {
			err = errors.Join(err, f.Close())
		}
		return err
	case <-ctx.Done():
		// A thread that waits in flock cannot be called back: it gives the lock up
		// at once when it gets it.
		go func() { _ = <-got; _ = f.Close() }()
		return context.Cause(ctx)
	}
}

func flock(f *os.File, how int) error {
	for {
		switch err := unix.Flock(int(f.Fd()), how); {
		case err == nil:
			return nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrLocked
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}
