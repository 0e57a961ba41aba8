package nix

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/daemon"
)

// keptLog is how many of its last log lines the error of a failed build has.
const keptLog = 20

func (e *Engine) maxJobs() int {
	if e.cfg.MaxJobs > 0 {
		return e.cfg.MaxJobs
	}
	return runtime.NumCPU()
}

// Realise makes the outputs of derivations valid, by fetching and building whatever
// is missing, and checks that they are there. Progress gets the log lines and
// phases of each build; its job is the name of what is built. A build that fails
// is an error of kind build with code "build_failed", whose details have the last
// lines of the log; nothing of it remains when ctx ends.
func (e *Engine) Realise(ctx context.Context, progress nixspace.ProgressFunc, drvPaths ...string) error {
	targets := make([]string, len(drvPaths))
	for i, p := range drvPaths {
		targets[i] = p + "!*"
	}
	t := newTracker(progress)
	results, err := e.client.Build(ctx, targets, t.event)
	if err != nil {
		var refused *daemon.Error
		if errors.As(err, &refused) {
			return t.failure(drvPaths[0], refused.Message)
		}
		return fmt.Errorf("build: %w", e.explain(err))
	}
	for _, r := range results {
		if !r.Status.OK() {
			drv, _, _ := strings.Cut(r.Target, "!")
			return t.failure(drv, r.Message)
		}
	}
	for _, p := range drvPaths {
		if err := e.checkOutputs(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// checkOutputs checks that a derivation's outputs are valid and really on disk.
func (e *Engine) checkOutputs(ctx context.Context, drvPath string) error {
	drv, err := readDerivation(drvPath)
	if err != nil {
		return err
	}
	var outs []string
	for _, o := range drv.Outputs {
		outs = append(outs, o.Path)
	}
	valid, err := e.client.ValidPaths(ctx, outs)
	if err != nil {
		return e.explain(err)
	}
	slices.Sort(outs)
	for _, out := range outs {
		if _, err := os.Lstat(out); err != nil || !slices.Contains(valid, out) {
			return nixspace.Errorf(nixspace.KindBuild, "output_missing",
				"Nix says that it built %s, but %s is not in the store", nixspace.StorePathName(drvPath), out).
				WithHint("check the store with: nix-store --verify --check-contents")
		}
	}
	return nil
}

// tracker turns the daemon's events into progress. Only the goroutine that reads
// the events uses it.
type tracker struct {
	report nixspace.ProgressFunc
	acts   map[uint64]*activity
	logs   map[string][]string // derivation that was begun → its last lines
	failed string              // the first of them that Nix said has failed
	why    string              // what it said
}

type activity struct {
	kind  daemon.ActivityType
	drv   string // of a build
	job   string
	phase string
}

func newTracker(report nixspace.ProgressFunc) *tracker {
	return &tracker{report: report, acts: map[uint64]*activity{}, logs: map[string][]string{}}
}

func (t *tracker) event(ev daemon.Event) {
	switch ev.Kind {
	case daemon.EventStart:
		t.start(ev)
	case daemon.EventResult:
		if a := t.acts[ev.Activity]; a != nil {
			t.result(a, ev)
		}
	case daemon.EventStop:
		a := t.acts[ev.Activity]
		delete(t.acts, ev.Activity)
		if a == nil {
			return
		}
		switch a.kind {
		case daemon.ActBuild:
			t.report.Report(nixspace.Progress{Job: a.job, Phase: a.phase, Final: true})
		case daemon.ActCopyPath:
			t.report.Report(nixspace.Progress{Job: a.job, Phase: a.phase, Unit: "B", Final: true})
		}
	case daemon.EventMessage:
		t.message(strings.TrimSpace(ev.Text))
	}
}

// message notes which build failed: the result names only what was asked for.
func (t *tracker) message(text string) {
	if text == "" {
		return
	}
	if t.failed == "" && strings.HasPrefix(text, "error:") {
		for drv := range t.logs {
			if strings.Contains(text, drv) {
				t.failed, t.why = drv, text
			}
		}
	}
	t.report.Report(nixspace.Progress{Job: "nix", Log: text})
}

func (t *tracker) start(ev daemon.Event) {
	a := &activity{kind: ev.Type}
	switch ev.Type {
	case daemon.ActBuild:
		a.drv, a.phase = ev.String(0), "build"
		a.job = jobName(a.drv)
		t.logs[a.drv] = nil
	case daemon.ActCopyPath:
		a.job, a.phase = nixspace.StorePathName(ev.String(0)), "fetch"
	case daemon.ActBuilds:
		a.job, a.phase = "packages", "build"
	default:
		return
	}
	t.acts[ev.Activity] = a
	if a.kind != daemon.ActBuilds {
		t.report.Report(nixspace.Progress{Job: a.job, Phase: a.phase})
	}
}

func (t *tracker) result(a *activity, ev daemon.Event) {
	switch ev.Result {
	case daemon.ResBuildLogLine, daemon.ResPostBuildLog:
		line := ev.String(0)
		if a.drv != "" {
			lines := append(t.logs[a.drv], line)
			t.logs[a.drv] = lines[max(0, len(lines)-keptLog):]
		}
		t.report.Report(nixspace.Progress{Job: a.job, Log: line})
	case daemon.ResSetPhase:
		a.phase = ev.String(0)
		t.report.Report(nixspace.Progress{Job: a.job, Phase: a.phase})
	case daemon.ResProgress:
		p := nixspace.Progress{Job: a.job, Phase: a.phase, Done: int64(ev.Int(0)), Total: int64(ev.Int(1))}
		switch a.kind {
		case daemon.ActCopyPath:
			p.Unit = "B"
		case daemon.ActBuilds:
		default:
			return
		}
		t.report.Report(p)
	}
}

// failure is the error of a build that failed: of drv, or of something that it
// depends on.
func (t *tracker) failure(drv, message string) error {
	if t.failed != "" {
		drv, message = t.failed, t.why
	}
	log := t.logs[drv]
	if len(log) == 0 {
		log = messageLog(message)
	}
	err := nixspace.Errorf(nixspace.KindBuild, "build_failed", "%s could not be built: %s", jobName(drv), reason(message)).
		WithDetail("derivation", drv).WithDetail("log", log)
	if len(log) > 0 {
		err = err.WithHint("the log ends with: %s", log[len(log)-1])
	}
	return err
}

// reason returns the part of Nix's message that says why. Nix 2.8 has it in the
// first line, newer ones in a line of its own.
func reason(message string) string {
	message = strings.TrimSpace(strings.TrimPrefix(message, "error:"))
	line, rest, _ := strings.Cut(message, "\n")
	for l := range strings.Lines(rest) {
		if r, ok := strings.CutPrefix(strings.TrimSpace(l), "Reason: "); ok {
			line = r
		}
	}
	return strings.TrimRight(strings.TrimSpace(line), ".;")
}

// messageLog returns the log lines that Nix quotes in its message.
func messageLog(message string) []string {
	var lines []string
	for l := range strings.Lines(message) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(l), "> "); ok {
			lines = append(lines, rest)
		}
	}
	return lines
}

func jobName(drv string) string {
	return strings.TrimSuffix(nixspace.StorePathName(drv), ".drv")
}
