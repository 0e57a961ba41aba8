package filelock_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace/internal/filelock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if _, err := filelock.Held(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	first, err := filelock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filelock.Try(path); !errors.Is(err, filelock.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	if held, err := filelock.Held(path); err != nil || !held {
		t.Errorf("held: %v, %v", held, err)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	if held, err := filelock.Held(path); err != nil || held {
		t.Errorf("held after it was given back: %v, %v", held, err)
	}
	if again, err := filelock.Try(path); err != nil || again.Unlock() != nil {
		t.Errorf("it cannot be had again: %v", err)
	}
	if _, err := filelock.Try(filepath.Join(path+"-no", "lock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := filelock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if _, err := filelock.Wait(ctx, path); !errors.Is(err, enough) {
		t.Errorf("got %v, want what ended the context", err)
	}
	if err := filelock.WaitFree(ctx, path); !errors.Is(err, enough) {
		t.Errorf("got %v, want what ended the context", err)
	}
	type result struct {
		lock *filelock.Lock
		err  error
	}
	got := make(chan result, 1)
	go func() {
		l, err := filelock.Wait(t.Context(), path)
		got <- result{l, err}
	}()
	select {
	case r := <-got:
		t.Fatalf("two have it: %+v", r)
	default:
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-got:
		if r.err != nil || r.lock.Unlock() != nil {
			t.Error(r.err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the lock is free and was not got")
	}
	if err := filelock.WaitFree(t.Context(), path); err != nil {
		t.Error(err)
	}
}
