package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// checkLimit is how long one check may take.
const checkLimit = 5 * time.Second

// Check is one thing that a server needs to serve.
type Check struct {
	Name string // "postgresql"
	// Run returns an error when the thing is not there now. Its text is shown to
	// everybody only if it is a *nixspace.Error.
	Run func(ctx context.Context) error
}

// Health answers that the process is alive, whatever else is wrong.
func Health() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusOK, map[string]string{"status": "alive"})
	})
}

// CheckResult is what a check said.
type CheckResult struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// Ready answers 200 when all checks succeed and 503 otherwise, and says which
// did not. Checks run at once.
func Ready(checks ...Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkLimit)
		defer cancel()
		results := make([]CheckResult, len(checks))
		var wg sync.WaitGroup
		for i, c := range checks {
			wg.Go(func() { results[i] = run(ctx, c) })
		}
		wg.Wait()
		status, word := http.StatusOK, "ready"
		for _, res := range results {
			if !res.OK {
				status, word = http.StatusServiceUnavailable, "not ready"
			}
		}
		writeStatus(w, status, struct {
			Status string        `json:"status"`
			Checks []CheckResult `json:"checks"`
		}{word, results})
	})
}

func run(ctx context.Context, c Check) CheckResult {
	err := c.Run(ctx)
	if err == nil {
		return CheckResult{Name: c.Name, OK: true}
	}
	res := CheckResult{Name: c.Name, Error: "failed; see the server's log"}
	if e := (*nixspace.Error)(nil); errors.As(err, &e) {
		res.Error = e.Message
	}
	return res
}

func writeStatus(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone has no use for it
}
