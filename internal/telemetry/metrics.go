package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/felixge/httpsnoop"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are what the server counts. docs/configuration.md lists them.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	open     prometheus.Gauge
}

// NewMetrics returns metrics of the process, the Go runtime and HTTP requests.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nixspace_http_requests_total", Help: "Requests that were answered.",
		}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "nixspace_http_request_duration_seconds", Help: "How long requests took, sockets and subscriptions aside.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
		}, []string{"route"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nixspace_http_requests_open", Help: "Requests that are being answered, sockets and subscriptions included.",
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "nixspace_build_info", Help: "The version of the server; always 1.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.duration, m.open, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics in Prometheus' text format.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: 4, Timeout: 30 * time.Second,
	})
}

// Wrap counts the requests that next answers. next must route with
// [http.ServeMux] on the request that it is given: the route is a label.
func (m *Metrics) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.open.Inc()
		defer m.open.Dec()
		got := httpsnoop.CaptureMetrics(next, w, r)
		route := r.Pattern
		if route == "" {
			route = "none" // refused before it was routed
		}
		m.requests.WithLabelValues(route, strconv.Itoa(got.Code)).Inc()
		if got.Code != http.StatusSwitchingProtocols && w.Header().Get("Content-Type") != "text/event-stream" {
			m.duration.WithLabelValues(route).Observe(got.Duration.Seconds())
		}
	})
}

// Count is how many records are in a state.
type Count struct {
	State string
	N     int64
}

// CountFunc counts records by state. It is called when somebody asks for the
// metrics.
type CountFunc func(ctx context.Context) ([]Count, error)

// AddCounts adds a gauge of the name, with the label state, whose values count
// returns. It is left out where count fails.
func (m *Metrics) AddCounts(name, help string, count CountFunc) {
	m.registry.MustRegister(&counts{desc: prometheus.NewDesc(name, help, []string{"state"}, nil), count: count})
}

type counts struct {
	desc  *prometheus.Desc
	count CountFunc
}

// Describe implements prometheus.Collector.
func (c *counts) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c *counts) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	all, err := c.count(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.desc, err)
		return
	}
	for _, n := range all {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n.N), n.State)
	}
}

// AddPool adds the state of a pool of database connections.
func (m *Metrics) AddPool(pool *pgxpool.Pool) {
	m.AddCounts("nixspace_database_connections", "Connections to PostgreSQL.", func(context.Context) ([]Count, error) {
		s := pool.Stat()
		return []Count{{"idle", int64(s.IdleConns())}, {"used", int64(s.AcquiredConns())}, {"opening", int64(s.ConstructingConns())}}, nil
	})
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "nixspace_database_wait_seconds_total", Help: "How long requests waited for a connection to PostgreSQL.",
	}, func() float64 { return pool.Stat().EmptyAcquireWaitTime().Seconds() }))
}
