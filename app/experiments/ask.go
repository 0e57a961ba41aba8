package experiments

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/measure"
	"github.com/nixspace/nixspace/env/results"
)

// Start asks for an experiment.
type Start struct {
	Kind nixspace.ExperimentKind
	// Refs are environments or versions: what to run on or, for upgrades, what to
	// upgrade. A bisection has Good and Bad instead.
	Refs []string
	// Axes vary each of Refs: a subject for every combination of their values.
	Axes     []nixspace.ExperimentAxis
	Command  []string
	Script   string   // of the manifest, in place of Command or with it as arguments
	Env      []string // KEY=VALUE
	Dir      string
	Setup    []string
	Timeout  int
	Parallel int
	Artifacts,
	Numbers []string

	Confidence, Precision     float64
	MinRuns, MaxRuns, Warmups int
	Seed                      int64 // chosen when 0

	Good   []string
	Bad    string
	Verify bool

	Checks   []string
	Packages []string // that upgrades are about; all when empty
}

const (
	maxSubjects = 64
	maxParallel = 16
	maxWords    = 256
)

// StartExperiment makes the versions that an experiment lacks, and queues it.
func (u *UseCases) StartExperiment(ctx context.Context, in Start) (*nixspace.Experiment, error) {
	tx, err := u.cfg.Records.Read(ctx)
	if err != nil {
		return nil, err
	}
	if u.cfg.Jobs == nil {
		return nil, missing()
	}
	spec, err := u.spec(in)
	if err != nil {
		return nil, err
	}
	e := &nixspace.Experiment{ID: nixspace.NewID(), Kind: in.Kind, Status: nixspace.BuildQueued, CreatedAt: records.Now()}
	var first *nixspace.Version
	switch in.Kind {
	case nixspace.ExperimentBisect:
		first, err = u.ends(ctx, tx, in, spec)
	case nixspace.ExperimentUpgrades:
		first, err = u.upgrades(ctx, tx, in, spec)
	default:
		first, err = u.subjects(ctx, tx, in, spec)
	}
	if err != nil {
		return nil, err
	}
	if in.Script != "" {
		if spec.Command, err = script(first, in.Script, in.Command); err != nil {
			return nil, err
		}
	}
	env, err := records.OneEnvironment(ctx, tx, first.EnvironmentID)
	if err != nil {
		return nil, err
	}
	e.ProjectID, e.Spec = env.ProjectID, *spec
	return e, u.queue(ctx, e)
}

// queue stores an experiment and asks for its work.
func (u *UseCases) queue(ctx context.Context, e *nixspace.Experiment) error {
	return u.cfg.Records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		e.CreatedBy, e.Author = actor.ID, actor.Name
		if err := tx.Experiments().Create(ctx, e); err != nil {
			return err
		}
		return u.cfg.Jobs.EnqueueExperiment(ctx, records.Plain(tx), e.ID)
	})
}

// RepeatExperiment makes an experiment like an earlier one, over the very same
// versions.
func (u *UseCases) RepeatExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error) {
	_, old, err := u.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	if u.cfg.Jobs == nil {
		return nil, missing()
	}
	e := &nixspace.Experiment{
		ID: nixspace.NewID(), ProjectID: old.ProjectID, Kind: old.Kind, Status: nixspace.BuildQueued, Spec: old.Spec, CreatedAt: records.Now(),
	}
	return e, u.queue(ctx, e)
}

// spec checks what is asked for, as far as that needs no records.
func (u *UseCases) spec(in Start) (*nixspace.ExperimentSpec, error) {
	s := &nixspace.ExperimentSpec{
		Command: in.Command, Dir: in.Dir, Setup: in.Setup, Timeout: in.Timeout, Parallel: in.Parallel,
		Artifacts: in.Artifacts, Numbers: in.Numbers, Checks: in.Checks, Verify: in.Verify, Axes: in.Axes, Warmups: in.Warmups,
	}
	invalid := func(code, format string, args ...any) *nixspace.Error {
		return nixspace.Errorf(nixspace.KindInvalid, code, format, args...)
	}
	if s.Parallel == 0 {
		if s.Parallel = min(u.cfg.Parallel, maxParallel); in.Kind == nixspace.ExperimentBisect {
			s.Parallel = 1 // one at a time takes the fewest runs
		}
	}
	needs := in.Kind == nixspace.ExperimentRunKind || in.Kind == nixspace.ExperimentCompare || in.Kind == nixspace.ExperimentBisect
	words := slices.Concat(in.Command, in.Setup, in.Artifacts, in.Numbers, in.Checks, in.Env, in.Refs, in.Good, in.Packages)
	switch {
	case needs && len(in.Command) == 0 && in.Script == "":
		return nil, invalid("command_missing", "there is no command").WithHint("put it after --")
	case len(words) > maxWords:
		return nil, nixspace.Errorf(nixspace.KindLimit, "too_many_words", "%d arguments are too many: %d are allowed", len(words), maxWords)
	case s.Parallel < 1 || s.Parallel > maxParallel:
		return nil, invalid("parallel_invalid", "%d machines at a time are not possible", s.Parallel).WithHint("ask for 1 to %d", maxParallel)
	case s.Timeout < 0 || s.Timeout > int(maxTimeout.Seconds()):
		return nil, invalid("timeout_invalid", "a run cannot take %d seconds", s.Timeout).WithHint("at most %d", int(maxTimeout.Seconds()))
	case in.Warmups < 0 || in.Warmups > 100:
		return nil, invalid("warmups_invalid", "%d warm-ups are not possible", in.Warmups)
	}
	for _, w := range append(words, in.Dir, in.Script, in.Bad) {
		if err := records.CheckText("an argument", w, 64<<10); err != nil {
			return nil, err
		}
	}
	for _, kv := range in.Env {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, invalid("variable_invalid", "%.100q sets no variable", kv).WithHint("write KEY=VALUE")
		}
		if s.Env == nil {
			s.Env = map[string]string{}
		}
		s.Env[k] = v
	}
	for _, n := range in.Numbers {
		if _, err := results.ParsePattern(n); err != nil {
			return nil, err
		}
	}
	if in.Kind == nixspace.ExperimentCompare {
		p := measure.Plan{Confidence: in.Confidence, Precision: in.Precision, MinRuns: in.MinRuns, MaxRuns: in.MaxRuns}.WithDefaults()
		switch {
		case p.Confidence < 0.5 || p.Confidence > 0.9999:
			return nil, invalid("confidence_invalid", "a confidence of %v is not possible", p.Confidence).WithHint("give one from 0.5 to 0.9999")
		case p.Precision <= 0 || p.Precision > 1:
			return nil, invalid("precision_invalid", "a precision of %v is not possible", p.Precision).WithHint("give a part of the median: 0.02 for 2 %%")
		case p.MinRuns < 1 || p.MaxRuns < p.MinRuns || p.MaxRuns > 1000:
			return nil, invalid("runs_invalid", "from %d to %d runs are not possible", p.MinRuns, p.MaxRuns).WithHint("give 1 to 1000, the least first")
		}
		s.Confidence, s.Precision, s.MinRuns, s.MaxRuns = p.Confidence, p.Precision, p.MinRuns, p.MaxRuns
		if s.Seed = uint64(in.Seed); s.Seed == 0 {
			s.Seed = rand.Uint64N(1<<53-1) + 1 // JavaScript can hold it
		}
	}
	return s, nil
}

// subjects finds or makes the versions to run on.
func (u *UseCases) subjects(ctx context.Context, tx records.Tx, in Start, spec *nixspace.ExperimentSpec) (*nixspace.Version, error) {
	combinations, err := combine(in.Axes)
	if err != nil {
		return nil, err
	}
	if len(in.Refs) == 0 {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "subject_missing", "there is nothing to run on").WithHint("name environments or versions")
	}
	if n := len(in.Refs) * len(combinations); n > maxSubjects {
		return nil, nixspace.Errorf(nixspace.KindLimit, "matrix_too_large", "%d combinations are too many: %d are allowed", n, maxSubjects)
	}
	var first *nixspace.Version
	for _, ref := range in.Refs {
		_, base, err := records.FindVersion(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = base
		}
		for _, values := range combinations {
			v, label := base, ref
			if len(in.Axes) > 0 {
				var parts []string
				var edits []environments.Edit
				for _, a := range in.Axes {
					parts = append(parts, a.Key+"="+values[a.Key])
					edits = append(edits, environments.Edit{Op: nixspace.ChangeSet, Key: a.Key, Value: values[a.Key]})
				}
				if label = strings.Join(parts, " "); len(in.Refs) > 1 {
					label = ref + " " + label
				}
				v, err = u.cfg.Environments.Candidate(ctx, environments.Candidate{Base: base, Edits: edits, Message: "Try " + label})
				if err != nil {
					return nil, err
				}
			}
			if slices.ContainsFunc(spec.Subjects, func(s nixspace.ExperimentSubject) bool { return s.Label == label }) {
				return nil, nixspace.Errorf(nixspace.KindInvalid, "subject_twice", "%s is named twice", label)
			}
			spec.Subjects = append(spec.Subjects, nixspace.ExperimentSubject{Label: label, VersionID: v.ID, Hash: v.VersionHash, Values: values})
		}
	}
	if in.Kind == nixspace.ExperimentCheck {
		for _, s := range spec.Subjects {
			v, err := records.OneVersion(ctx, tx, s.VersionID)
			if err != nil {
				return nil, err
			}
			if _, err := checksOf(v, spec.Checks); err != nil {
				return nil, err
			}
		}
	}
	return first, nil
}

// combine returns every combination of the values of axes.
func combine(axes []nixspace.ExperimentAxis) ([]map[string]string, error) {
	out := []map[string]string{nil}
	for i, a := range axes {
		if a.Key == "" || len(a.Values) == 0 || slices.ContainsFunc(axes[:i], func(b nixspace.ExperimentAxis) bool { return b.Key == a.Key }) {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "axis_invalid", "the matrix cannot vary %.100q", a.Key).
				WithHint("give each key once, with its values: postgresql=13,14,15")
		}
		if len(out)*len(a.Values) > maxSubjects {
			return nil, nixspace.Errorf(nixspace.KindLimit, "matrix_too_large", "more than %d combinations are too many", maxSubjects)
		}
		var next []map[string]string
		for _, before := range out {
			for _, v := range a.Values {
				one := map[string]string{a.Key: v}
				for k, w := range before {
					one[k] = w
				}
				next = append(next, one)
			}
		}
		out = next
	}
	return out, nil
}

// ends finds the good and bad versions of a bisection.
func (u *UseCases) ends(ctx context.Context, tx records.Tx, in Start, spec *nixspace.ExperimentSpec) (*nixspace.Version, error) {
	if len(in.Good) == 0 || in.Bad == "" {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "bisect_ends_missing", "a bisection needs a good version and a bad one").
			WithHint("nixspace bisect --good shop~20 --bad shop -- COMMAND")
	}
	badEnv, bad, err := records.FindVersion(ctx, tx, in.Bad)
	if err != nil {
		return nil, err
	}
	spec.Bad = bad.VersionHash
	spec.Subjects = []nixspace.ExperimentSubject{{Label: in.Bad, VersionID: bad.ID, Hash: bad.VersionHash}}
	for _, ref := range in.Good {
		env, v, err := records.FindVersion(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		if env.ProjectID != badEnv.ProjectID {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "other_project", "%s and %s are of different projects", ref, in.Bad)
		}
		if v.ID == bad.ID {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "bisect_contradiction", "%s and %s are the same version", ref, in.Bad)
		}
		spec.Good = append(spec.Good, v.VersionHash)
		spec.Subjects = append(spec.Subjects, nixspace.ExperimentSubject{Label: ref, VersionID: v.ID, Hash: v.VersionHash})
	}
	return bad, nil
}

// script returns a script of a version's manifest as a command.
func script(v *nixspace.Version, name string, args []string) ([]string, error) {
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return nil, err
	}
	text, ok := m.Scripts[name]
	if !ok {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "script_unknown", "the environment has no script %q", name)
	}
	if len(args) > 0 {
		text += ` "$@"`
	}
	return append([]string{"sh", "-c", text, name}, args...), nil
}

// label names a version where nobody gave it a name.
func label(hash string) string { return fmt.Sprintf("%.12s", hash) }
