// Package exptext shows what experiments found: as text for people, as CSV and as
// Markdown.
package exptext

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/experiments"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/env/measure"
)

// Write shows an experiment in a form: "text", "csv" or "markdown".
func Write(w io.Writer, e *client.Experiment, form string) error {
	var tables []table
	var notes []string
	var err error
	switch nixspace.ExperimentKind(e.Kind) {
	case nixspace.ExperimentCompare:
		tables, notes, err = compared(e)
	case nixspace.ExperimentBisect:
		tables, notes, err = bisected(e)
	case nixspace.ExperimentCheck, nixspace.ExperimentUpgrades:
		tables, notes, err = checked(e)
	default:
		tables, notes, err = ran(e)
	}
	if err != nil {
		return err
	}
	for i, t := range tables {
		if i > 0 {
			fmt.Fprintln(w)
		}
		switch form {
		case "csv":
			err = t.csv(w)
		case "markdown":
			err = t.markdown(w)
		default:
			err = t.text(w)
		}
		if err != nil {
			return err
		}
	}
	if form == "csv" {
		return nil
	}
	if len(tables) > 0 && len(notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, n := range notes {
		fmt.Fprintln(w, term.Clean(n))
	}
	return nil
}

// ran shows what came of the command on each subject.
func ran(e *client.Experiment) ([]table, []string, error) {
	var a experiments.RunAnswer
	if err := decode(e, &a); err != nil {
		return nil, nil, err
	}
	t := table{header: []string{"ON", "EXIT", "TIME", "CPU", "MEMORY"}}
	for _, s := range e.Subjects {
		row := []string{s.Label, "-", "-", "-", "-"}
		for _, r := range e.Runs {
			if r.Subject != s.Label {
				continue
			}
			switch {
			case r.ExitCode != nil:
				row[1] = strconv.Itoa(*r.ExitCode)
			case r.Error != "":
				row[1] = r.Error
			default:
				row[1] = string(r.Status)
			}
			if u := r.Usage; u != nil {
				row[2], row[3], row[4] = Value(u.Wall, "s"), Value(u.User+u.System, "s"), Value(float64(u.Memory), "B")
			}
		}
		t.rows = append(t.rows, row)
	}
	tables := []table{t}
	var notes []string
	if a.Tests != nil {
		tests := table{title: "Tests", header: append([]string{"TEST"}, a.Tests.Subjects...)}
		for _, r := range a.Tests.Rows {
			row := []string{r.Name}
			for _, s := range r.Statuses {
				if s == "" {
					s = "-"
				}
				row = append(row, string(s))
			}
			tests.rows = append(tests.rows, row)
		}
		if len(tests.rows) > 0 {
			tables = append(tables, tests)
		}
		different := 0
		for _, r := range a.Tests.Rows {
			if r.Different {
				different++
			}
		}
		notes = append(notes, fmt.Sprintf("%s everywhere; %s differently; %s nowhere", count(a.Tests.Passed, "test passes", "tests pass"),
			count(different, "ends", "end"), count(len(a.Tests.Rows)-different, "passes", "pass")))
		if a.Tests.Cut {
			notes = append(notes, "there are more tests than are shown")
		}
	}
	return tables, notes, nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func decode(e *client.Experiment, to any) error {
	if len(e.Answer) == 0 || string(e.Answer) == "null" {
		return nil
	}
	if err := json.Unmarshal(e.Answer, to); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// verdict says what a difference means, for people.
func verdict(d measure.Difference, m measure.Measure) string {
	switch d.Verdict {
	case measure.Missing:
		return "nothing to compare"
	case measure.TooFew:
		return "too few runs to say"
	case measure.None:
		if d.Detectable > 0 && m.Samples[0].Summary.Median != 0 {
			return fmt.Sprintf("no difference found (one of %s would likely show)", percent(d.Detectable, false))
		}
		return "no difference found"
	}
	better := (d.Verdict == measure.Higher) == m.HigherIsBetter
	word := map[bool]string{true: "better", false: "worse"}[better]
	switch {
	case m.Unit == "s" && better:
		word = "faster"
	case m.Unit == "s":
		word = "slower"
	case m.Unit == "B" && better:
		word = "less"
	case m.Unit == "B":
		word = "more"
	}
	return word
}

func percent(x float64, sign bool) string {
	if sign {
		return fmt.Sprintf("%+.1f %%", 100*x)
	}
	return fmt.Sprintf("%.1f %%", 100*x)
}

// compared shows what was measured.
func compared(e *client.Experiment) ([]table, []string, error) {
	var a experiments.CompareAnswer
	if err := decode(e, &a); err != nil {
		return nil, nil, err
	}
	var tables []table
	for _, m := range a.Measures {
		way := "lower is better"
		if m.HigherIsBetter {
			way = "higher is better"
		}
		if constant(m) {
			continue
		}
		t := table{
			title:     fmt.Sprintf("%s (%s)", m.Name, way),
			header:    []string{"ON", "RUNS", "MEDIAN", "INTERVAL", "NOISE", "OUTLIERS", "CHANGE", "CHANGE INTERVAL", "P", "VERDICT"},
			rawHeader: []string{"measure", "unit", "subject", "runs", "median", "lo", "hi", "confidence", "min", "q1", "q3", "max", "noise", "outliers", "change", "change_lo", "change_hi", "p", "p_adjusted", "effect", "verdict"},
		}
		for i, s := range m.Samples {
			v := s.Summary
			row := []string{s.Subject, strconv.Itoa(v.N), Value(v.Median, m.Unit), "-", percent(v.Noise, false), strconv.Itoa(len(v.Outliers)), "", "", "", ""}
			if v.N > 1 {
				row[3] = Value(v.Lo, m.Unit) + " … " + Value(v.Hi, m.Unit)
			}
			raw := []string{m.Name, m.Unit, s.Subject, strconv.Itoa(v.N), num(v.Median), num(v.Lo), num(v.Hi), num(v.Confidence), num(v.Min), num(v.Q1), num(v.Q3), num(v.Max), num(v.Noise), strconv.Itoa(len(v.Outliers)), "", "", "", "", "", "", ""}
			if i > 0 {
				d := m.Differences[i-1]
				row[9] = verdict(d, m)
				if d.Verdict != measure.Missing {
					row[6], row[7] = percent(d.Change, true), percent(d.Lo, true)+" … "+percent(d.Hi, true)
					if row[8] = fmt.Sprintf("%.4f", d.Adjusted); d.Adjusted < 0.0001 {
						row[8] = "<0.0001"
					}
				}
				raw = append(raw[:14], num(d.Change), num(d.Lo), num(d.Hi), num(d.P), num(d.Adjusted), num(d.Effect), string(d.Verdict))
			}
			t.rows, t.raw = append(t.rows, row), append(t.raw, raw)
		}
		tables = append(tables, t)
	}
	var notes []string
	if len(a.Measures) > 0 {
		notes = append(notes, fmt.Sprintf("confidence %s; medians with their intervals; p by Mann-Whitney, corrected for the number of comparisons (Holm)", percent(a.Plan.Confidence, false)))
		var hashes []string
		for _, s := range e.Subjects {
			hashes = append(hashes, fmt.Sprintf("%s = %.12s", s.Label, s.Hash))
		}
		notes = append(notes, strings.Join(hashes, ", "))
	}
	if len(a.Imprecise) > 0 {
		notes = append(notes, fmt.Sprintf("not as precise as wanted (%s) after %d runs: %s", percent(a.Plan.Precision, false), a.Plan.MaxRuns, strings.Join(a.Imprecise, ", ")))
	}
	if !a.Clones && len(a.Measures) > 0 {
		notes = append(notes, "machines cannot be copied here: each run had a fresh one")
	}
	return tables, notes, nil
}

// constant reports whether all values are 0, as of disks that were not used.
func constant(m measure.Measure) bool {
	for _, s := range m.Samples {
		if s.Summary.Max != 0 || s.Summary.Min != 0 {
			return false
		}
	}
	return true
}

func num(x float64) string { return strconv.FormatFloat(x, 'g', 8, 64) }

// bisected shows what broke it.
func bisected(e *client.Experiment) ([]table, []string, error) {
	var a experiments.BisectAnswer
	if err := decode(e, &a); err != nil {
		return nil, nil, err
	}
	var notes []string
	for _, l := range a.Log {
		notes = append(notes, "- "+l)
	}
	switch {
	case a.First != "":
		notes = append(notes, "", fmt.Sprintf("first bad version: %.12s  %s (%s)", a.First, firstLine(a.Message), a.Author))
		for _, c := range a.Changes {
			notes = append(notes, "  "+change(c))
		}
		if len(a.Guilty) > 0 {
			word := "to blame"
			if !a.Minimal {
				word = "left to blame"
			}
			notes = append(notes, word+": "+strings.Join(a.Guilty, ", "))
		}
	case len(a.Suspects) > 0:
		notes = append(notes, fmt.Sprintf("%d versions may have broken it", len(a.Suspects)))
	}
	return nil, notes, nil
}

// Log is what a bisection says of how it goes; nothing for other experiments.
func Log(e *client.Experiment) []string {
	var a experiments.BisectAnswer
	if nixspace.ExperimentKind(e.Kind) != nixspace.ExperimentBisect || decode(e, &a) != nil {
		return nil
	}
	return a.Log
}

func change(c nixspace.Change) string {
	switch c.Op {
	case nixspace.ChangeAdd:
		return fmt.Sprintf("+ %s %s", c.Path, c.To)
	case nixspace.ChangeRemove:
		return fmt.Sprintf("- %s %s", c.Path, c.From)
	}
	return fmt.Sprintf("~ %s %s → %s", c.Path, c.From, c.To)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// checked shows which checks pass.
func checked(e *client.Experiment) ([]table, []string, error) {
	var a experiments.CheckAnswer
	if err := decode(e, &a); err != nil {
		return nil, nil, err
	}
	upgrades := nixspace.ExperimentKind(e.Kind) == nixspace.ExperimentUpgrades
	if upgrades {
		t := table{header: []string{"UPGRADE", "PASSES", "FAILS", "TIME", "SPEED", "SIZE", "SIZE CHANGE"}}
		for i, s := range a.Subjects {
			passes, fails := "yes", []string{}
			for _, c := range s.Checks {
				if c.Run == 0 {
					passes = "-"
				} else if !c.Passed {
					passes = "no"
					fails = append(fails, c.Name)
				}
			}
			row := []string{s.Subject, passes, strings.Join(fails, ", "), Value(s.Seconds, "s"), "", Value(float64(s.Size), "B"), ""}
			if i > 0 {
				if b := a.Subjects[0].Seconds; b > 0 && s.Seconds > 0 {
					row[4] = percent(s.Seconds/b-1, true)
				}
				if b := a.Subjects[0].Size; b > 0 && s.Size > 0 {
					row[6] = term.SignedBytes(s.Size - b)
				}
			}
			t.rows = append(t.rows, row)
		}
		return []table{t}, []string{"time and speed are of one run each; measure with `nixspace compare`"}, nil
	}
	t := table{header: []string{"ON", "CHECK", "RESULT", "TIME"}}
	for _, s := range a.Subjects {
		for _, c := range s.Checks {
			result := "-"
			switch {
			case c.Passed:
				result = "passed"
			case c.ExitCode != nil:
				result = fmt.Sprintf("failed (exit code %d)", *c.ExitCode)
			case c.Error != "":
				result = "failed: " + firstLine(c.Error)
			}
			t.rows = append(t.rows, []string{s.Subject, c.Name, result, Value(c.Seconds, "s")})
		}
	}
	return []table{t}, nil, nil
}
