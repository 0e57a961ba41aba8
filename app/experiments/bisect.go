package experiments

import (
	"context"
	"fmt"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/search"
)

// BisectAnswer is what an experiment of kind "bisect" found, as far as it is.
type BisectAnswer struct {
	// First is the hash of the first bad version; empty until it is known.
	First   string `json:"first"`
	Message string `json:"message"` // of that version
	Author  string `json:"author"`
	// Suspects are the versions that may be the first bad one.
	Suspects []string `json:"suspects"`
	Steps    int      `json:"steps"` // about how many more rounds it takes
	// Changes is all that First changed. Guilty are those of the edits that make it
	// that break the command: without any one of them it is good again.
	Changes []nixspace.Change `json:"changes"`
	Guilty  []string          `json:"guilty"`
	Minimal bool              `json:"minimal"` // nothing can be left out of Guilty
	Log     []string          `json:"log"`     // how it came to that, step by step
	Runs    int               `json:"runs"`
}

// maxNodes bounds the histories that are searched.
const maxNodes = 200_000

// outcome is what a run says, with git's rules: 0 is good, 125 and what a signal
// ended say nothing, every other exit code is bad.
func outcome(r *nixspace.ExperimentRun) search.Outcome {
	switch {
	case r.ExitCode == nil || *r.ExitCode == 125 || *r.ExitCode > 127:
		return search.Skip
	case *r.ExitCode == 0:
		return search.Good
	}
	return search.Bad
}

type bisection struct {
	*worker
	found BisectAnswer
}

func (b *bisection) say(ctx context.Context, format string, args ...any) error {
	b.found.Log = append(b.found.Log, fmt.Sprintf(format, args...))
	return b.tell(ctx)
}

func (b *bisection) tell(ctx context.Context) error { return b.answer(ctx, b.found) }

// bisect finds the first bad version, and then what in it is to blame.
func (w *worker) bisect(ctx context.Context) error {
	b := &bisection{worker: w, found: BisectAnswer{Suspects: []string{}, Changes: []nixspace.Change{}, Guilty: []string{}, Log: []string{}}}
	s := w.e.Spec
	found, err := w.tx.History().Nodes(ctx, append([]string{s.Bad}, s.Good...), maxNodes)
	if err != nil {
		return err
	}
	nodes := make([]search.Node, len(found))
	for i, n := range found {
		nodes[i] = search.Node{Hash: n.Hash, Parents: n.Parents}
	}
	if s.Verify {
		if err := b.verify(ctx); err != nil {
			return err
		}
	}
	if err := b.bases(ctx, nodes); err != nil {
		return err
	}
	outcomes := map[string]search.Outcome{}
	for {
		step, err := search.Bisect(nodes, s.Good, s.Bad, outcomes, s.Parallel)
		if err != nil {
			return err
		}
		b.found.First, b.found.Suspects, b.found.Steps = step.First, step.Suspects, step.Steps
		if len(step.Next) == 0 {
			return b.conclude(ctx, step)
		}
		if err := b.say(ctx, "%s, about %s: trying %s", count(len(step.Suspects), "version may have broken it", "versions may have broken it"),
			count(step.Steps, "more round", "more rounds"), names(step.Next)); err != nil {
			return err
		}
		runs, err := b.tryVersions(ctx, step.Next)
		if err != nil {
			return err
		}
		for i, r := range runs {
			outcomes[step.Next[i]] = outcome(r)
			if err := b.say(ctx, "%s is %s", label(step.Next[i]), told(r)); err != nil {
				return err
			}
		}
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func names(hashes []string) string {
	var out []string
	for _, h := range hashes {
		out = append(out, label(h))
	}
	return strings.Join(out, ", ")
}

// told is what a run said, for people.
func told(r *nixspace.ExperimentRun) string {
	o := outcome(r)
	switch {
	case r.ExitCode == nil:
		return "skipped: " + records.FirstLine(r.Error)
	case o == search.Skip:
		return fmt.Sprintf("skipped (exit code %d)", *r.ExitCode)
	}
	return fmt.Sprintf("%s (exit code %d)", o, *r.ExitCode)
}

// tryVersions runs the command on versions.
func (b *bisection) tryVersions(ctx context.Context, hashes []string) ([]*nixspace.ExperimentRun, error) {
	var trials []trial
	for _, h := range hashes {
		id, err := records.FindHash(ctx, b.tx, h)
		if err != nil {
			return nil, err
		}
		v, err := records.OneVersion(ctx, b.tx, id)
		if err != nil {
			return nil, err
		}
		trials = append(trials, trial{key: "version/" + h, subject: label(h), version: v, argv: b.e.Spec.Command})
	}
	runs, err := b.all(ctx, trials, nil)
	b.found.Runs = len(b.done)
	return runs, err
}

// verify makes sure that bad is bad and good is good.
func (b *bisection) verify(ctx context.Context) error {
	ends := append([]string{b.e.Spec.Bad}, b.e.Spec.Good...)
	runs, err := b.tryVersions(ctx, ends)
	if err != nil {
		return err
	}
	for i, r := range runs {
		want := search.Good
		if i == 0 {
			want = search.Bad
		}
		if o := outcome(r); o != want {
			return nixspace.Errorf(nixspace.KindInvalid, "bisect_end_wrong", "%s should be %s, and is %s", b.e.Spec.Subjects[i].Label, want, told(r)).
				WithHint("see its output: nixspace experiments show %d --run %d", b.e.Number, r.Seq)
		}
	}
	return nil
}

// bases tries the versions where the histories of good and bad part, where good is
// not one that bad was made from.
func (b *bisection) bases(ctx context.Context, nodes []search.Node) error {
	for i, good := range b.e.Spec.Good {
		bases := search.Bases(nodes, good, b.e.Spec.Bad)
		if len(bases) == 0 {
			continue
		}
		name := b.e.Spec.Subjects[i+1].Label
		if err := b.say(ctx, "%s is on another branch: trying %s, where they part", name, names(bases)); err != nil {
			return err
		}
		runs, err := b.tryVersions(ctx, bases)
		if err != nil {
			return err
		}
		for j, r := range runs {
			if outcome(r) == search.Bad {
				return nixspace.Errorf(nixspace.KindInvalid, "bisect_base_bad", "%s is bad already, where %s parts from the bad version: %s was repaired", label(bases[j]), name, name).
					WithHint("name a good version from before, or merge what repaired it")
			}
		}
	}
	return nil
}

// conclude says which version is the first bad one, and looks into it.
func (b *bisection) conclude(ctx context.Context, step *search.Bisection) error {
	if step.First == "" {
		return b.say(ctx, "the command says nothing about the %d versions that are left; one of them broke it", len(step.Suspects))
	}
	id, err := records.FindHash(ctx, b.tx, step.First)
	if err != nil {
		return err
	}
	v, err := records.OneVersion(ctx, b.tx, id)
	if err != nil {
		return err
	}
	b.found.Message, b.found.Author, b.found.Changes = v.Message, v.Author, v.Changes
	if err := b.say(ctx, "%s is the first bad version: %s", label(step.First), records.FirstLine(v.Message)); err != nil {
		return err
	}
	if len(v.Parents) == 0 {
		return b.say(ctx, "it has no version before it")
	}
	if id, err = records.FindHash(ctx, b.tx, v.Parents[0]); err != nil {
		return err
	}
	before, err := records.OneVersion(ctx, b.tx, id)
	if err != nil {
		return err
	}
	return b.blame(ctx, before, v)
}

// blame searches the smallest part of a version's change that breaks the command.
func (b *bisection) blame(ctx context.Context, before, v *nixspace.Version) error {
	from, err := manifest.Parse(manifest.FileName, []byte(before.Manifest))
	if err != nil {
		return err
	}
	to, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return err
	}
	edits := manifest.Edits(from, to)
	if len(edits) == 0 {
		return b.say(ctx, "its text says the same as before: its packages resolved to other versions")
	}
	known := func(part []int) (search.Outcome, bool) {
		r := b.done[partKey(part)]
		if r == nil {
			return "", false
		}
		return outcome(r), true
	}
	for {
		m := search.Minimize(len(edits), known, b.e.Spec.Parallel)
		b.found.Guilty, b.found.Minimal, b.found.Runs = nil, len(m.Next) == 0, len(b.done)
		for _, i := range m.Smallest {
			b.found.Guilty = append(b.found.Guilty, edits[i].String())
		}
		if len(m.Next) == 0 {
			return b.say(ctx, "of its %s, %s to blame: %s", count(len(edits), "change", "changes"),
				map[bool]string{true: "this one is", false: "these together are"}[len(m.Smallest) == 1], strings.Join(b.found.Guilty, ", "))
		}
		if err := b.say(ctx, "%s left to blame: trying %s", count(len(m.Smallest), "change is", "changes are"), parts(m.Next)); err != nil {
			return err
		}
		if err := b.tryParts(ctx, before, edits, m.Next); err != nil {
			return err
		}
	}
}

func partKey(part []int) string { return "part/" + numbers(part) }

// numbers writes indices for people, who count from 1.
func numbers(part []int) string {
	var out []string
	for _, i := range part {
		out = append(out, fmt.Sprint(i+1))
	}
	return strings.Join(out, "+")
}

func parts(ps [][]int) string {
	var out []string
	for _, p := range ps {
		out = append(out, numbers(p))
	}
	return strings.Join(out, ", ")
}

// tryParts makes versions with parts of a change, and runs the command on them.
// Parts that do not go together say nothing.
func (b *bisection) tryParts(ctx context.Context, before *nixspace.Version, edits []manifest.Edit, next [][]int) error {
	var trials []trial
	for _, part := range next {
		var chosen []environments.Edit
		for _, i := range part {
			chosen = append(chosen, environments.Edit{Op: edits[i].Op, Key: edits[i].Key, Value: edits[i].Value})
		}
		name := "changes " + numbers(part)
		v, err := b.u.cfg.Environments.Candidate(ctx, environments.Candidate{Base: before, Edits: chosen, Message: "Try " + name})
		if nixspace.ErrorKind(err) == nixspace.KindInvalid || nixspace.ErrorKind(err) == nixspace.KindNotFound {
			if err := b.impossible(ctx, part, name, before, err); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		trials = append(trials, trial{key: partKey(part), subject: name, version: v, argv: b.e.Spec.Command})
	}
	runs, err := b.all(ctx, trials, nil)
	if err != nil {
		return err
	}
	for i, r := range runs {
		if err := b.say(ctx, "with %s it is %s", trials[i].subject, told(r)); err != nil {
			return err
		}
	}
	return nil
}

// impossible records that a part of a change makes no environment.
func (b *bisection) impossible(ctx context.Context, part []int, name string, before *nixspace.Version, why error) error {
	r := &nixspace.ExperimentRun{
		ExperimentID: b.e.ID, Key: partKey(part), Subject: name, VersionID: before.ID, VersionHash: before.VersionHash,
		Status: nixspace.BuildFailed, Error: records.CleanText(why.Error()), ErrorCode: "build_impossible",
		StartedAt: records.Now(), FinishedAt: records.Now(),
	}
	if err := b.put(ctx, r); err != nil {
		return err
	}
	b.done[r.Key] = r
	return b.say(ctx, "%s alone make no environment: %s", name, records.FirstLine(r.Error))
}
