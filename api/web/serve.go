package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// shutdownTime is how long requests get to end when the server stops.
const shutdownTime = 15 * time.Second

// Serve answers requests on ln until ctx ends, then closes streams, lets other
// requests end, and returns nil. wrap, when not nil, is put around the handler
// (for traces and metrics).
func (h *Handler) Serve(ctx context.Context, ln net.Listener, wrap func(http.Handler) http.Handler) error {
	var root http.Handler = h
	if wrap != nil {
		root = wrap(h)
	}
	srv := &http.Server{
		Handler:           root,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(h.cfg.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := errors.Join(h.CloseStreams(stop), srv.Shutdown(stop))
	if err != nil {
		_ = srv.Close()
		err = fmt.Errorf("stop HTTP: %w", err)
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
