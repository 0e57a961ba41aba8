package experiments

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
)

// CheckAnswer is what experiments of the kinds "check" and "upgrades" found.
type CheckAnswer struct {
	Subjects []Checked `json:"subjects"`
	Passed   bool      `json:"passed"` // all checks on all subjects
}

// Checked is what the checks said of one subject.
type Checked struct {
	Subject string        `json:"subject"`
	Hash    string        `json:"hash"`
	Passed  bool          `json:"passed"`
	Checks  []CheckResult `json:"checks"`
	Seconds float64       `json:"seconds"` // of all checks together
	Size    int64         `json:"size"`    // bytes of its closure; 0 where it is not built
}

// CheckResult is what one check said.
type CheckResult struct {
	Name     string  `json:"name"`
	Run      int     `json:"run"` // its number in the experiment; 0 until it ran
	Passed   bool    `json:"passed"`
	ExitCode *int    `json:"exitCode"`
	Seconds  float64 `json:"seconds"`
	Error    string  `json:"error"` // why its command did not run to its end
}

// starts is the check of those who have none: that it builds and its services come
// up.
const starts = "starts"

// checksOf returns the checks of a version's manifest: those of the names, or all.
func checksOf(v *nixspace.Version, only []string) (map[string]manifest.Check, error) {
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return nil, err
	}
	if len(m.Checks) == 0 {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "checks_missing", "version %s has no checks", label(v.VersionHash)).
			WithHint("add one: nixspace set ENVIRONMENT checks.test.command='npm test'")
	}
	if len(only) == 0 {
		return m.Checks, nil
	}
	out := map[string]manifest.Check{}
	for _, name := range only {
		c, ok := m.Checks[name]
		if !ok {
			return nil, nixspace.Errorf(nixspace.KindNotFound, "check_unknown", "version %s has no check %q", label(v.VersionHash), name).
				WithHint("it has %s", records.ListOr(slices.Sorted(maps.Keys(m.Checks))))
		}
		out[name] = c
	}
	return out, nil
}

// checksFor returns what is run on a subject: the command, or the checks.
func (w *worker) checksFor(v *nixspace.Version) (map[string]manifest.Check, error) {
	if len(w.e.Spec.Command) > 0 {
		return map[string]manifest.Check{"command": {}}, nil
	}
	cs, err := checksOf(v, w.e.Spec.Checks)
	if records.IsCode(err, "checks_missing") && w.e.Kind == nixspace.ExperimentUpgrades {
		return map[string]manifest.Check{starts: {Command: "true"}}, nil
	}
	return cs, err
}

// check runs the checks on each subject.
func (w *worker) check(ctx context.Context) error {
	var trials []trial
	var places [][2]int // of each trial: its subject and check
	var versions []*nixspace.Version
	var out CheckAnswer
	for i, s := range w.e.Spec.Subjects {
		v, err := w.version(ctx, s)
		if err != nil {
			return err
		}
		versions = append(versions, v)
		cs, err := w.checksFor(v)
		if err != nil {
			return err
		}
		one := Checked{Subject: s.Label, Hash: s.Hash}
		for n, name := range slices.Sorted(maps.Keys(cs)) {
			t := trial{key: "check/" + name + "/" + s.Label, subject: s.Label + " " + name, version: v, argv: w.e.Spec.Command}
			if len(t.argv) == 0 {
				t.argv = []string{"sh", "-c", cs[name].Command}
				if t.timeout = time.Duration(cs[name].Timeout); t.timeout == 0 && w.e.Spec.Timeout == 0 {
					t.timeout = time.Duration(manifest.DefaultCheckTimeout)
				}
			}
			trials, places = append(trials, t), append(places, [2]int{i, n})
			one.Checks = append(one.Checks, CheckResult{Name: name})
		}
		out.Subjects = append(out.Subjects, one)
	}
	var mu sync.Mutex
	_, err := w.all(ctx, trials, func(runs []*nixspace.ExperimentRun) error {
		mu.Lock()
		defer mu.Unlock()
		for n, r := range runs {
			if r == nil {
				continue
			}
			c := &out.Subjects[places[n][0]].Checks[places[n][1]]
			c.Run, c.ExitCode, c.Error = r.Seq, r.ExitCode, r.Error
			c.Passed = r.ExitCode != nil && *r.ExitCode == 0
			if r.Usage != nil {
				c.Seconds = r.Usage.Wall.Seconds()
			}
		}
		out.Passed = true
		for i := range out.Subjects {
			s := &out.Subjects[i]
			s.Passed, s.Seconds = true, 0
			for _, c := range s.Checks {
				s.Passed = s.Passed && c.Passed
				s.Seconds += c.Seconds
			}
			out.Passed = out.Passed && s.Passed
			if s.Size == 0 {
				if r, err := w.u.cfg.Builds.Realised(ctx, w.tx, versions[i]); err == nil {
					s.Size = r.ClosureSize
				}
			}
		}
		return w.answer(ctx, out)
	})
	return err
}
