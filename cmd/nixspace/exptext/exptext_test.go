package exptext_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nixspace/nixspace/app/experiments"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/exptext"
	"github.com/nixspace/nixspace/env/measure"
	"github.com/nixspace/nixspace/env/results"
)

func shown(t *testing.T, e *client.Experiment, answer any, form string) string {
	t.Helper()
	var err error
	if e.Answer, err = json.Marshal(answer); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := exptext.Write(&b, e, form); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func wantIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in\n%s", p, text)
		}
	}
}

func TestComparison(t *testing.T) {
	p := measure.Plan{}.WithDefaults()
	fast := []float64{1, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07, 1.08, 1.09}
	var slow []float64
	for _, v := range fast {
		slow = append(slow, v*1.5)
	}
	a := experiments.CompareAnswer{Plan: p, Clones: true, Imprecise: []string{"=bad"}}
	for _, m := range []*measure.Measure{
		p.Of("time", "s", false, []string{"shop", "=bad"}, [][]float64{fast, slow}),
		p.Of("tps", "tps", true, []string{"shop", "=bad"}, [][]float64{fast, fast}),
		p.Of("read from disk", "B", false, []string{"shop", "=bad"}, [][]float64{{0, 0}, {0, 0}}),
	} {
		a.Measures = append(a.Measures, *m)
	}
	e := &client.Experiment{Kind: "compare", Subjects: []client.ExperimentSubject{{Label: "shop", Hash: "abcdef0123456789"}, {Label: "=bad", Hash: "b"}}}
	text := shown(t, e, a, "text")
	wantIn(t, text, "time (lower is better)", "slower", "+50.0 %", "tps (higher is better)", "no difference found", "abcdef012345", "not as precise as wanted (2.0 %) after 50 runs: =bad")
	if strings.Contains(text, "read from disk") {
		t.Errorf("zeros alone are shown:\n%s", text)
	}
	// A spreadsheet must not take a name for a formula.
	wantIn(t, shown(t, e, a, "csv"), "measure,unit,subject", "time,s,'=bad,10,")
	wantIn(t, shown(t, e, a, "markdown"), "| ON | RUNS |", "| shop | 10 |")
}

func TestTestsAndChecks(t *testing.T) {
	code := 3
	e := &client.Experiment{Kind: "run", Subjects: []client.ExperimentSubject{{Label: "a"}, {Label: "b\x1b[31m"}}, Runs: []client.ExperimentRun{
		{Subject: "a", ExitCode: &code, Usage: &client.Usage{Wall: 0.25, Memory: 1 << 20}}, {Subject: "b\x1b[31m", Error: "it did not start"},
	}}
	a := experiments.RunAnswer{Tests: results.Compare([]string{"a", "b"}, []results.Report{
		{Format: "tap", Tests: []results.Test{{Name: "one", Status: results.Passed}, {Name: "two", Status: results.Passed}}},
		{Format: "tap", Tests: []results.Test{{Name: "one", Status: results.Failed}, {Name: "two", Status: results.Passed}}},
	})}
	text := shown(t, e, a, "text")
	wantIn(t, text, "250.0 ms", "1.0 MiB", "it did not start", "passed  failed", "1 test passes everywhere; 1 ends differently; 0 pass nowhere")
	if strings.Contains(text, "\x1b") {
		t.Errorf("an escape sequence gets through: %q", text)
	}
	e = &client.Experiment{Kind: "upgrades"}
	c := experiments.CheckAnswer{Subjects: []experiments.Checked{
		{Subject: "shop", Passed: true, Checks: []experiments.CheckResult{{Name: "t", Run: 1, Passed: true}}, Seconds: 2, Size: 1 << 20},
		{Subject: "pg 15 → 16", Checks: []experiments.CheckResult{{Name: "t", Run: 2}}, Seconds: 3, Size: 2 << 20},
	}}
	wantIn(t, shown(t, e, c, "text"), "pg 15 → 16  no      t", "+50.0 %", "+1.0 MiB")
	e.Kind = "check"
	wantIn(t, shown(t, e, c, "text"), "shop        t      passed")
	wantIn(t, shown(t, &client.Experiment{Kind: "bisect"}, experiments.BisectAnswer{
		First: "0123456789abcdef", Message: "break\nit", Author: "ada", Guilty: []string{"set packages.x"}, Minimal: true, Log: []string{"first"},
	}, "text"), "- first", "first bad version: 0123456789ab  break (ada)", "to blame: set packages.x")
}
