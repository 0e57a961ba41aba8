package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
)

// pins is a package source whose check does what a test wants.
type pins func(context.Context, nixspace.ProgressFunc) error

func (p pins) Check(ctx context.Context, progress nixspace.ProgressFunc) error {
	return p(ctx, progress)
}

func TestCheckPins(t *testing.T) {
	site := func() (Site, *bytes.Buffer) {
		var log bytes.Buffer
		return Site{Log: slog.New(slog.NewTextHandler(&log, nil))}, &log
	}
	t.Run("the start waits for it", func(t *testing.T) {
		s, log := site()
		checked := false
		stop := checkPins(t.Context(), pins(func(context.Context, nixspace.ProgressFunc) error {
			checked = true
			return nil
		}), limit, s)
		if !checked || log.Len() > 0 {
			t.Errorf("checked: %v, the log says %q", checked, log)
		}
		stop()
	})
	t.Run("a failure does not stop the start", func(t *testing.T) {
		s, log := site()
		checkPins(t.Context(), pins(func(context.Context, nixspace.ProgressFunc) error { return errors.New("no network") }), limit, s)()
		if said := log.String(); !strings.Contains(said, "no network") {
			t.Errorf("the log says %q", said)
		}
	})
	t.Run("what takes long goes on, and ends with the server", func(t *testing.T) {
		s, log := site()
		ended := make(chan error, 1)
		stop := checkPins(t.Context(), pins(func(ctx context.Context, _ nixspace.ProgressFunc) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}), time.Nanosecond, s)
		select {
		case err := <-ended:
			t.Fatalf("it was given up: %v", err)
		default:
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		if said := log.String(); strings.Contains(said, "WARN") {
			t.Errorf("the log says %q", said)
		}
	})
	t.Run("an interrupted start does not wait", func(t *testing.T) {
		s, _ := site()
		ctx, cancel := context.WithCancel(t.Context())
		checkPins(ctx, pins(func(ctx context.Context, _ nixspace.ProgressFunc) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}), limit, s)()
	})
}
