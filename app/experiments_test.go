package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/experiments"
	"github.com/nixspace/nixspace/app/sessions"
	"github.com/nixspace/nixspace/env/measure"
)

// experiment starts an experiment, runs it to its end and returns it.
func (h *host) experiment(t testing.TB, in experiments.Start) *nixspace.Experiment {
	t.Helper()
	before, err := h.Environments(h.ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	e, err := h.StartExperiment(h.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range h.jobs.Experiments().Take() {
		if err := h.RunExperiment(h.ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if e, err = h.Experiment(h.ctx, fmt.Sprint(e.Number)); err != nil {
		t.Fatal(err)
	}
	h.nothingLeft(t, e, len(before))
	return e
}

// nothingLeft fails if an experiment left a session, a disk, a snapshot or an
// environment.
func (h *host) nothingLeft(t testing.TB, e *nixspace.Experiment, environments int) {
	t.Helper()
	sessions, err := h.Sessions(h.ctx, "", true)
	if err != nil || len(sessions) > 0 {
		t.Errorf("experiment %d left sessions: %v, %v", e.Number, sessions, err)
	}
	if ids, err := h.machines.Sessions(h.ctx); err != nil || len(ids) > 0 {
		t.Errorf("experiment %d left disks: %v, %v", e.Number, ids, err)
	}
	if ids := h.machines.Live(); len(ids) > 0 {
		t.Errorf("experiment %d left machines: %v", e.Number, ids)
	}
	if snaps, err := h.Snapshots(h.ctx, "", true); err != nil || len(snaps) > 0 {
		t.Errorf("experiment %d left snapshots: %v, %v", e.Number, snaps, err)
	}
	if held, err := h.db.Read().ExperimentRuns().Held(h.ctx, e.ID); err != nil || len(held) > 0 {
		t.Errorf("experiment %d holds %v, %v", e.Number, held, err)
	}
	if envs, err := h.Environments(h.ctx, ""); err != nil || len(envs) != environments {
		t.Errorf("experiment %d left environments: %v, %v", e.Number, envs, err)
	}
}

func answer[T any](t testing.TB, e *nixspace.Experiment) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(e.Answer, &v); err != nil {
		t.Fatalf("the answer %s of experiment %d (%s: %s): %v", e.Answer, e.Number, e.Status, e.Error, err)
	}
	return v
}

// packagesOf returns the store paths of a machine's layers, for commands that are
// played.
func packagesOf(m nixspace.MachineSpec) string {
	var all []string
	for _, l := range m.Layers {
		all = append(all, l.Name)
		all = append(all, l.Paths...)
	}
	return strings.Join(all, " ")
}

func TestMatrix(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.work(t)
	h.keepWorking(t)
	h.machines.Play(func(_ context.Context, m nixspace.MachineSpec, c nixspace.Command) (string, int, time.Duration) {
		status, code := "pass", 0
		if strings.Contains(packagesOf(m), "postgresql_13") {
			status, code = "fail", 1
		}
		return fmt.Sprintf(`{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":%q,"Package":"p","Test":"TestB"}
`, status), code, time.Second
	})
	e := h.experiment(t, experiments.Start{
		Kind: nixspace.ExperimentRunKind, Refs: []string{"shop"}, Command: []string{"go", "test", "-json"},
		Axes: []nixspace.ExperimentAxis{{Key: "postgresql", Values: []string{"13", "15"}}, {Key: "nodejs", Values: []string{"20", "22"}}},
	})
	if e.Status != nixspace.BuildSucceeded || len(e.Spec.Subjects) != 4 {
		t.Fatalf("%s %s, %v", e.Status, e.Error, e.Spec.Subjects)
	}
	runs, err := h.ExperimentRuns(h.ctx, e.ID, true)
	if err != nil || len(runs) != 4 {
		t.Fatal(runs, err)
	}
	for _, r := range runs {
		want := 0
		if strings.Contains(r.Subject, "postgresql=13") {
			want = 1
		}
		if r.ExitCode == nil || *r.ExitCode != want || !strings.Contains(r.Stdout, "TestB") || r.Usage == nil {
			t.Errorf("%s: %+v", r.Subject, r)
		}
	}
	a := answer[experiments.RunAnswer](t, e)
	if a.Tests == nil || a.Tests.Passed != 1 || len(a.Tests.Rows) != 1 || a.Tests.Rows[0].Name != "p/TestB" || !a.Tests.Rows[0].Different {
		t.Errorf("%+v", a.Tests)
	}
	// What the environment is already needs no version of its own.
	i := slices.IndexFunc(e.Spec.Subjects, func(s nixspace.ExperimentSubject) bool { return s.Label == "postgresql=15 nodejs=22" })
	head, err := h.Version(h.ctx, "shop")
	if err != nil || i < 0 || e.Spec.Subjects[i].VersionID != head.ID {
		t.Errorf("%v, head %v", e.Spec.Subjects, head.ID)
	}
	for _, in := range []experiments.Start{
		{Kind: nixspace.ExperimentRunKind, Refs: []string{"shop"}},
		{Kind: nixspace.ExperimentRunKind, Refs: []string{"shop", "shop"}, Command: []string{"x"}},
		{Kind: nixspace.ExperimentRunKind, Refs: []string{"shop"}, Command: []string{"x"}, Axes: []nixspace.ExperimentAxis{{Key: "postgresql", Values: []string{"99"}}}},
		{Kind: nixspace.ExperimentRunKind, Refs: []string{"shop"}, Command: []string{"x"}, Axes: []nixspace.ExperimentAxis{{Key: "postgresql"}}},
		{Kind: nixspace.ExperimentCompare, Refs: []string{"shop"}, Command: []string{"x"}, Numbers: []string{"bad"}},
		{Kind: nixspace.ExperimentCompare, Refs: []string{"shop"}, Command: []string{"x"}, Confidence: 2},
		{Kind: nixspace.ExperimentBisect, Good: []string{"shop"}, Bad: "shop", Command: []string{"x"}},
		{Kind: nixspace.ExperimentCheck, Refs: []string{"shop"}},
	} {
		if _, err := h.StartExperiment(h.ctx, in); err == nil || nixspace.ErrorKind(err) == nixspace.KindInternal {
			t.Errorf("%+v: %v", in, err)
		}
	}
}

func TestCompareFindsTheSlowBranch(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.work(t)
	h.keepWorking(t)
	var calls atomic.Int64
	h.machines.Play(func(_ context.Context, m nixspace.MachineSpec, _ nixspace.Command) (string, int, time.Duration) {
		took := time.Second + time.Duration(calls.Add(1)*7919%13)*time.Millisecond
		if strings.Contains(packagesOf(m), "nodejs_20") {
			took += 100 * time.Millisecond
		}
		if m.Snapshot == "" || !m.Throwaway {
			return "", 3, 0 // runs are made in clones only
		}
		return "tps = 100.5 (x)\n", 0, took
	})
	e := h.experiment(t, experiments.Start{
		Kind: nixspace.ExperimentCompare, Refs: []string{"shop"}, Command: []string{"bench"}, Warmups: 1, Seed: 7,
		Axes: []nixspace.ExperimentAxis{{Key: "nodejs", Values: []string{"22", "20"}}},
	})
	if e.Status != nixspace.BuildSucceeded {
		t.Fatalf("%s: %s", e.Status, e.Error)
	}
	a := answer[experiments.CompareAnswer](t, e)
	m := a.Measures[0]
	if d := m.Differences[0]; m.Name != "time" || d.Verdict != measure.Higher || d.Change < 0.08 || d.Change > 0.12 || !a.Clones {
		t.Errorf("%+v", m)
	}
	if i := slices.IndexFunc(a.Measures, func(m measure.Measure) bool { return m.Name == "pgbench tps" }); i < 0 || !a.Measures[i].HigherIsBetter || a.Measures[i].Differences[0].Verdict != measure.None {
		t.Errorf("%+v", a.Measures)
	}
	runs, err := h.ExperimentRuns(h.ctx, e.ID, false)
	if err != nil || len(runs) < 22 { // with the warm-ups
		t.Fatal(len(runs), err)
	}
	if !strings.HasPrefix(runs[0].Key, "warmup/") {
		t.Errorf("the first run is %s", runs[0].Key)
	}
	again, err := h.RepeatExperiment(h.ctx, fmt.Sprint(e.Number))
	if err != nil || again.Spec.Subjects[1].Hash != e.Spec.Subjects[1].Hash || again.Number == e.Number {
		t.Errorf("%+v, %v", again, err)
	}
}

// changes makes n versions on top of the environment; what changes in each is in
// edits of its number.
func (h *host) changes(t testing.TB, n int, edits func(i int) []environments.Edit) {
	t.Helper()
	for i := 1; i <= n; i++ {
		if _, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", Edits: edits(i), Message: fmt.Sprint("change ", i)}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBisectFindsVersionAndChange(t *testing.T) {
	const guilty = 37
	h := newHost(t)
	h.create(t)
	h.work(t)
	h.keepWorking(t)
	h.changes(t, 64, func(i int) []environments.Edit {
		edits := set("env.STEP", fmt.Sprint(i))
		if i == guilty { // five changes, one of which is to blame
			edits = append(edits, set("nodejs", "20")...)
			edits = append(edits, set("postgresql", "14")...)
			edits = append(edits, set("env.A", "1")...)
			edits = append(edits, set("env.B", "1")...)
		}
		return edits
	})
	h.machines.Play(func(_ context.Context, m nixspace.MachineSpec, _ nixspace.Command) (string, int, time.Duration) {
		if strings.Contains(packagesOf(m), "postgresql_14") {
			return "broken", 1, time.Millisecond
		}
		return "fine", 0, time.Millisecond
	})
	in := experiments.Start{Kind: nixspace.ExperimentBisect, Good: []string{"shop~64"}, Bad: "shop", Command: []string{"test"}}
	e := h.experiment(t, in)
	if e.Status != nixspace.BuildSucceeded {
		t.Fatalf("%s: %s", e.Status, e.Error)
	}
	a := answer[experiments.BisectAnswer](t, e)
	if a.Message != fmt.Sprint("change ", guilty) || !a.Minimal || len(a.Guilty) != 1 || !strings.Contains(a.Guilty[0], "postgresql") {
		t.Errorf("%+v", a)
	}
	runs, err := h.ExperimentRuns(h.ctx, e.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	versions := 0
	for _, r := range runs {
		if strings.HasPrefix(r.Key, "version/") {
			versions++
		}
	}
	if versions > 7 {
		t.Errorf("%d runs for 64 versions", versions)
	}
	// What is good on another branch says nothing where they part in something bad.
	if _, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: "repaired", Edits: set("postgresql", "15")}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", Edits: set("env.LAST", "1")}); err != nil {
		t.Fatal(err)
	}
	side := in
	side.Good = []string{"repaired"}
	if e := h.experiment(t, side); e.ErrorCode != "bisect_base_bad" {
		t.Errorf("good on another branch: %s %s %s", e.Status, e.ErrorCode, e.Error)
	}
	if _, err := h.DeleteEnvironment(h.ctx, "repaired"); err != nil {
		t.Fatal(err)
	}
	in.Verify, in.Good = true, []string{"shop~1"}
	if e := h.experiment(t, in); e.ErrorCode != "bisect_end_wrong" {
		t.Errorf("good that is bad: %s %s", e.Status, e.ErrorCode)
	}
}

func TestInterruptedExperimentGoesOn(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.work(t)
	h.keepWorking(t)
	started, hang := make(chan string, 10), make(chan struct{})
	var fast atomic.Bool
	h.machines.Play(func(ctx context.Context, m nixspace.MachineSpec, _ nixspace.Command) (string, int, time.Duration) {
		if strings.Contains(packagesOf(m), "nodejs_20") && !fast.Load() {
			started <- m.Hostname
			select {
			case <-hang:
			case <-ctx.Done():
			}
		}
		return "ok", 0, time.Millisecond
	})
	e, err := h.StartExperiment(h.ctx, experiments.Start{
		Kind: nixspace.ExperimentRunKind, Refs: []string{"shop"}, Command: []string{"x"}, Parallel: 1,
		Axes: []nixspace.ExperimentAxis{{Key: "nodejs", Values: []string{"22", "20"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.RunExperiment(h.ctx, e.ID) }()
	select {
	case <-started:
	case <-h.ctx.Done():
		t.Fatal("the second run did not begin")
	}
	if e, err = h.CancelExperiment(h.ctx, string(e.ID)); err != nil || e.Status != nixspace.BuildCanceled {
		t.Fatal(e, err)
	}
	if err := <-done; err != nil {
		t.Errorf("RunExperiment: %v", err)
	}
	h.nothingLeft(t, e, 1)
	before, err := h.ExperimentRuns(h.ctx, e.ID, false)
	if err != nil || len(before) != 2 || before[1].Status != nixspace.BuildCanceled {
		t.Fatalf("%+v, %v", before, err)
	}
	fast.Store(true)
	if _, err := h.ResumeExperiment(h.ctx, string(e.ID)); err != nil {
		t.Fatal(err)
	}
	updates, err := h.WatchExperiment(h.ctx, string(e.ID))
	if err != nil {
		t.Fatal(err)
	}
	go func() { done <- h.RunExperiment(h.ctx, e.ID) }()
	var last *nixspace.Experiment
	for u := range updates {
		if u.Experiment != nil {
			last = u.Experiment
		}
	}
	if err := <-done; err != nil || last == nil || last.Status != nixspace.BuildSucceeded {
		t.Fatalf("%+v, %v", last, err)
	}
	after, err := h.ExperimentRuns(h.ctx, e.ID, false)
	if err != nil || len(after) != 2 || !after[0].FinishedAt.Equal(before[0].FinishedAt) || after[1].Status != nixspace.BuildSucceeded {
		t.Errorf("%+v, %v", after, err)
	}
	h.nothingLeft(t, e, 1)
	_, err = h.ResumeExperiment(h.ctx, string(e.ID))
	wantCode(t, err, nixspace.KindConflict, "experiment_complete")
}

func TestChecksAndUpgrades(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.work(t)
	h.keepWorking(t)
	h.machines.Play(func(_ context.Context, m nixspace.MachineSpec, c nixspace.Command) (string, int, time.Duration) {
		if strings.Contains(strings.Join(c.Argv, " "), "strict") && strings.Contains(packagesOf(m), "postgresql_16") {
			return "", 1, time.Second
		}
		return "", 0, time.Second
	})
	_, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", Edits: append(set("checks.test.command", "strict"), set("checks.lint.command", "loose")...)})
	if err != nil {
		t.Fatal(err)
	}
	e := h.experiment(t, experiments.Start{Kind: nixspace.ExperimentCheck, Refs: []string{"shop"}})
	if a := answer[experiments.CheckAnswer](t, e); !a.Passed || len(a.Subjects) != 1 || len(a.Subjects[0].Checks) != 2 || a.Subjects[0].Size == 0 {
		t.Errorf("%+v", a)
	}
	e = h.experiment(t, experiments.Start{Kind: nixspace.ExperimentUpgrades, Refs: []string{"shop"}, Packages: []string{"postgresql"}})
	a := answer[experiments.CheckAnswer](t, e)
	if a.Passed || !a.Subjects[0].Passed || a.Subjects[0].Subject != "shop" {
		t.Errorf("%+v", a)
	}
	for _, s := range a.Subjects[1:] {
		if s.Passed == strings.Contains(s.Subject, "→ 16") {
			t.Errorf("%+v", s)
		}
	}
	_, err = h.StartExperiment(h.ctx, experiments.Start{Kind: nixspace.ExperimentCheck, Refs: []string{"shop"}, Checks: []string{"nope"}})
	wantCode(t, err, nixspace.KindNotFound, "check_unknown")
	_, err = h.StartExperiment(h.ctx, experiments.Start{Kind: nixspace.ExperimentUpgrades, Refs: []string{"shop"}, Packages: []string{"redis"}})
	wantCode(t, err, nixspace.KindNotFound, "package_unknown")
}

func TestRequiredChecksGuardMerges(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.work(t)
	h.keepWorking(t)
	h.machines.Play(func(context.Context, nixspace.MachineSpec, nixspace.Command) (string, int, time.Duration) {
		return "", 0, time.Second
	})
	edits := append(set("checks.test.command", "npm test"), set("checks.test.required", "true")...)
	if _, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", Edits: edits}); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: "pg14", Edits: set("postgresql", "14")}); err != nil {
		t.Fatal(err)
	}
	merge := environments.Merge{From: "pg14", Into: "shop"}
	_, err := h.Merge(h.ctx, merge)
	wantCode(t, err, nixspace.KindConflict, "checks_required")
	check := func(ref string) {
		t.Helper()
		e, err := h.StartExperiment(h.ctx, experiments.Start{Kind: nixspace.ExperimentCheck, Refs: []string{ref}})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.RunExperiment(h.ctx, e.ID); err != nil {
			t.Fatal(err)
		}
	}
	check("pg14")
	if out, err := h.Merge(h.ctx, merge); err != nil || out.Outcome != environments.MergeFastForward {
		t.Fatalf("%+v, %v", out, err)
	}
	// A check of the same name that does something else does not count.
	if _, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: "easy", Edits: set("checks.test.command", "true")}); err != nil {
		t.Fatal(err)
	}
	check("easy")
	_, err = h.Merge(h.ctx, environments.Merge{From: "easy", Into: "shop"})
	wantCode(t, err, nixspace.KindConflict, "checks_required")
	if out, err := h.Merge(h.ctx, environments.Merge{From: "easy", Into: "shop", DryRun: true}); err != nil || len(out.Changes) != 1 {
		t.Errorf("dry run: %+v, %v", out, err)
	}
}

// A server that stops, or is killed, leaves an experiment to be gone on with, and
// machines to be taken away.
func TestExperimentSurvivesTheServer(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.work(t)
	h.keepWorking(t)
	began, hang := make(chan struct{}, 10), atomic.Bool{}
	hang.Store(true)
	h.machines.Play(func(ctx context.Context, _ nixspace.MachineSpec, _ nixspace.Command) (string, int, time.Duration) {
		began <- struct{}{}
		if hang.Load() {
			<-ctx.Done()
		}
		return "", 0, time.Second
	})
	e, err := h.StartExperiment(h.ctx, experiments.Start{Kind: nixspace.ExperimentCompare, Refs: []string{"shop"}, Command: []string{"x"}, MinRuns: 2, MaxRuns: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.ctx)
	done := make(chan error, 1)
	go func() { done <- h.RunExperiment(ctx, e.ID) }()
	<-began
	cancel()
	if err := <-done; err == nil {
		t.Error("an interrupted attempt reports success")
	}
	h.nothingLeft(t, e, 1)
	if e, err = h.Experiment(h.ctx, string(e.ID)); err != nil || e.Status != nixspace.BuildQueued {
		t.Fatalf("%+v, %v", e, err)
	}
	// A machine of an attempt that was killed.
	left := h.startSession(t, sessions.StartSession{Ref: "shop", Ephemeral: true})
	h.await(t, left.ID, nixspace.SessionRunning)
	if err := h.db.Read().ExperimentRuns().Hold(h.ctx, e.ID, left.ID); err != nil {
		t.Fatal(err)
	}
	hang.Store(false)
	if err := h.RunExperiment(h.ctx, e.ID); err != nil {
		t.Fatal(err)
	}
	if e, err = h.Experiment(h.ctx, string(e.ID)); err != nil || e.Status != nixspace.BuildSucceeded {
		t.Fatalf("%+v, %v", e, err)
	}
	h.nothingLeft(t, e, 1)
}
