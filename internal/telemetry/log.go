// Package telemetry is how a running server is watched: logs, metrics, traces
// and health.
package telemetry

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/nixspace/nixspace"
)

// NewLogger returns a logger that writes lines of text, or of JSON when format
// is "json", from the level on: "debug", "info", "warn" or "error". Lines that
// belong to a trace carry its identifiers.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var min slog.Level
	if err := min.UnmarshalText([]byte(level)); err != nil {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "log_level_invalid", "there is no log level %q", level).
			WithHint("use debug, info, warn or error")
	}
	opts := &slog.HandlerOptions{Level: min}
	switch format {
	case "text":
		return slog.New(traced{slog.NewTextHandler(w, opts)}), nil
	case "json":
		return slog.New(traced{slog.NewJSONHandler(w, opts)}), nil
	}
	return nil, nixspace.Errorf(nixspace.KindInvalid, "log_format_invalid", "there is no log format %q", format).
		WithHint("use text or json")
}

// Quiet returns a logger that passes on what is at least as grave as min: for
// libraries that tell more than a reader wants.
func Quiet(log *slog.Logger, min slog.Level) *slog.Logger {
	return slog.New(quiet{log.Handler(), min})
}

// traced adds the identifiers of the span in the context.
type traced struct{ slog.Handler }

// Handle implements slog.Handler.
func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }

type quiet struct {
	slog.Handler
	min slog.Level
}

// Enabled implements slog.Handler.
func (h quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.min && h.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (h quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{h.Handler.WithAttrs(attrs), h.min}
}

// WithGroup implements slog.Handler.
func (h quiet) WithGroup(name string) slog.Handler { return quiet{h.Handler.WithGroup(name), h.min} }
