package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestNewLogger(t *testing.T) {
	var b strings.Builder
	log, err := NewLogger(&b, "json", "warn")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("not this")
	log.With("a", 1).WithGroup("g").Warn("this", "b", 2)
	var line struct {
		Msg string
		A   int
		G   struct{ B int }
	}
	if err := json.Unmarshal([]byte(b.String()), &line); err != nil {
		t.Fatalf("%q: %v", b.String(), err)
	}
	if line.Msg != "this" || line.A != 1 || line.G.B != 2 {
		t.Errorf("logged %q", b.String())
	}
	for _, c := range []struct{ format, level, code string }{
		{"xml", "info", "log_format_invalid"}, {"text", "loud", "log_level_invalid"},
	} {
		if _, err := NewLogger(io.Discard, c.format, c.level); nixspace.ErrorCode(err) != c.code {
			t.Errorf("NewLogger(%s, %s) fails with %v, want %s", c.format, c.level, err, c.code)
		}
	}
}

func TestQuiet(t *testing.T) {
	var b strings.Builder
	log, err := NewLogger(&b, "text", "debug")
	if err != nil {
		t.Fatal(err)
	}
	q := Quiet(log, slog.LevelWarn).With("x", 1).WithGroup("g")
	q.Info("no")
	q.Warn("yes")
	if got := b.String(); strings.Contains(got, "no") || !strings.Contains(got, "yes") {
		t.Errorf("logged %q", got)
	}
}

func TestMetrics(t *testing.T) {
	m := NewMetrics("1.2.3")
	fail := false
	m.AddCounts("nixspace_sessions", "Sessions.", func(context.Context) ([]Count, error) {
		if fail {
			return nil, errors.New("the database is away")
		}
		return []Count{{"running", 3}}, nil
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	get(t, m.Wrap(mux), "/things/42")
	get(t, m.Wrap(mux), "/nothing")
	scrape := m.Handler(slog.New(slog.DiscardHandler))
	_, body := get(t, scrape, "/metrics")
	for _, want := range []string{
		`nixspace_http_requests_total{code="418",route="GET /things/{id}"} 1`,
		`nixspace_http_requests_total{code="404",route="none"} 1`,
		`nixspace_http_request_duration_seconds_count{route="GET /things/{id}"} 1`,
		`nixspace_http_requests_open 0`,
		`nixspace_sessions{state="running"} 3`,
		`nixspace_build_info{version="1.2.3"} 1`,
		`go_goroutines`, `process_open_fds`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
	fail = true
	code, body := get(t, scrape, "/metrics")
	if code != http.StatusOK || strings.Contains(body, "nixspace_sessions{") || !strings.Contains(body, "go_goroutines") {
		t.Errorf("with a database that is away, the metrics are %d:\n%s", code, body)
	}
}

func TestHealthAndReady(t *testing.T) {
	if code, body := get(t, Health(), "/healthz"); code != http.StatusOK || !strings.Contains(body, "alive") {
		t.Errorf("health is %d %s", code, body)
	}
	good := Check{"good", func(context.Context) error { return nil }}
	if code, body := get(t, Ready(good), "/readyz"); code != http.StatusOK {
		t.Errorf("ready is %d %s", code, body)
	}
	code, body := get(t, Ready(good,
		Check{"clear", func(context.Context) error {
			return nixspace.Errorf(nixspace.KindUnavailable, "x", "PostgreSQL does not answer")
		}},
		Check{"secret", func(context.Context) error { return errors.New("password=hunter2") }},
	), "/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "PostgreSQL does not answer") || strings.Contains(body, "hunter2") {
		t.Errorf("ready is %d %s", code, body)
	}
}

func TestTracing(t *testing.T) {
	for _, name := range append(traceVariables, "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER") {
		t.Setenv(name, "")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	off, err := StartTracing(ctx, "1")
	if err != nil || off.Enabled() {
		t.Fatalf("without a collector, tracing is on (%v)", err)
	}
	if err := off.Stop(ctx); err != nil {
		t.Error(err)
	}

	got := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- r.URL.Path + " " + string(b)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
	on, err := StartTracing(ctx, "1")
	if err != nil || !on.Enabled() {
		t.Fatalf("with a collector, tracing is off (%v)", err)
	}
	var log strings.Builder
	l, err := NewLogger(&log, "text", "info")
	if err != nil {
		t.Fatal(err)
	}
	get(t, on.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { l.InfoContext(r.Context(), "inside") })), "/x")
	if err := on.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "trace_id=") {
		t.Errorf("a log line in a trace is %q", log.String())
	}
	sent := <-got // Stop returns after it was sent
	if !strings.HasPrefix(sent, "/v1/traces ") || !strings.Contains(sent, "nixspace") {
		t.Errorf("sent %q", sent)
	}
}
