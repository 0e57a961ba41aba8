package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// Tracing sends traces to a collector. The zero value sends nothing.
type Tracing struct{ provider *sdk.TracerProvider }

// traceVariables turn tracing on: those that name a collector.
var traceVariables = []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}

// StartTracing starts to send traces by OTLP over HTTP, if the standard variables
// OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT name a
// collector and OTEL_SDK_DISABLED is not "true". All other OTEL_ variables mean
// what they mean everywhere. A collector that cannot be reached disturbs nothing.
func StartTracing(ctx context.Context, version string) (*Tracing, error) {
	set := slices.ContainsFunc(traceVariables, func(name string) bool { return os.Getenv(name) != "" })
	if !set || os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return &Tracing{}, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("set up the export of traces: %w", err)
	}
	// What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say comes last and wins.
	res, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "nixspace"), attribute.String("service.version", version)),
		resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describe this server for traces: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(res))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	return &Tracing{provider: provider}, nil
}

// Enabled reports whether traces are sent.
func (t *Tracing) Enabled() bool { return t.provider != nil }

// Wrap begins a span for each request that next answers.
func (t *Tracing) Wrap(next http.Handler) http.Handler {
	if t.provider == nil {
		return next
	}
	return otelhttp.NewHandler(next, "http", otelhttp.WithTracerProvider(t.provider), otelhttp.WithSpanNameFormatter(spanName))
}

// spanName names a span by its route, which is known once the request was routed.
// Paths would be too many names.
func spanName(_ string, r *http.Request) string {
	if r.Pattern == "" || strings.Contains(r.Pattern, " ") {
		return cmp.Or(r.Pattern, r.Method)
	}
	return r.Method + " " + r.Pattern
}

// Stop sends what is left.
func (t *Tracing) Stop(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}
