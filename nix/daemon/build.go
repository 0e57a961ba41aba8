package daemon

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// BuildStatus is how a build ended (Nix: BuildResult::Status in build-result.hh).
type BuildStatus uint64

// The outcomes. The first three, and ResolvesToAlreadyValid, are successes.
const (
	Built                  BuildStatus = 0
	Substituted            BuildStatus = 1
	AlreadyValid           BuildStatus = 2
	PermanentFailure       BuildStatus = 3
	InputRejected          BuildStatus = 4
	OutputRejected         BuildStatus = 5
	TransientFailure       BuildStatus = 6
	CachedFailure          BuildStatus = 7
	TimedOut               BuildStatus = 8
	MiscFailure            BuildStatus = 9
	DependencyFailed       BuildStatus = 10
	LogLimitExceeded       BuildStatus = 11
	NotDeterministic       BuildStatus = 12
	ResolvesToAlreadyValid BuildStatus = 13
	NoSubstituters         BuildStatus = 14
)

// OK reports whether the outputs are valid now.
func (s BuildStatus) OK() bool { return s <= AlreadyValid || s == ResolvesToAlreadyValid }

// BuildResult is how the build of one target ended.
type BuildResult struct {
	Target    string // as it was asked for
	Status    BuildStatus
	Message   string // why it failed; empty otherwise
	StartedAt time.Time
	StoppedAt time.Time
}

// Build makes targets valid, by building or fetching. A target is a store path, a
// derivation with outputs ("/nix/store/….drv!out"), or all of its outputs
// ("/nix/store/….drv!*"). It reports what it does to on (which may be nil, is
// called by one goroutine, and must not block) and returns a result for each
// target. A build that fails is not an error of Build.
func (c *Client) Build(ctx context.Context, targets []string, on func(Event)) ([]BuildResult, error) {
	if err := checkTargets(targets); err != nil {
		return nil, err
	}
	var results []BuildResult
	err := c.with(ctx, func(k *conn) error {
		return k.do(ctx, "BuildPathsWithResults", func() {
			k.w.u64(opBuildPathsWithResults)
			k.w.strs(targets)
			k.w.u64(0) // build what is missing; do not repair or check
		}, on, func() { results = k.r.buildResults() })
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// buildResults reads results (Nix: KeyedBuildResult in remote-store.cc).
func (r *reader) buildResults() []BuildResult {
	n := r.count()
	var out []BuildResult
	for i := 0; i < n && r.err == nil; i++ {
		b := BuildResult{Target: r.str(), Status: BuildStatus(r.u64()), Message: Plain(r.str())}
		r.u64()  // how often it was built
		r.bool() // not deterministic
		b.StartedAt = time.Unix(int64(r.u64()), 0)
		b.StoppedAt = time.Unix(int64(r.u64()), 0)
		for outputs := r.count(); outputs > 0 && r.err == nil; outputs-- {
			r.str() // output
			r.str() // what it came to, as JSON
		}
		out = append(out, b)
	}
	return out
}

func checkTargets(targets []string) error {
	for _, t := range targets {
		path, outputs, found := strings.Cut(t, "!")
		if err := CheckStorePath(path); err != nil {
			return err
		}
		if found && (outputs == "" || strings.ContainsAny(outputs, "!/ ")) {
			return fmt.Errorf("%.80q names no outputs of a derivation", t)
		}
	}
	return nil
}
