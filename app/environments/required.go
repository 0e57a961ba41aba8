package environments

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
)

// maxChecked is how many of the last checks of a version are looked at.
const maxChecked = 50

// checkedFor makes sure that what is merged passed the checks that the environment
// requires. They are those of the environment's own manifest, so that a branch cannot
// do without them by leaving them out. It fails with code "checks_required".
func (a *UseCases) checkedFor(ctx context.Context, tx records.Tx, in Merge, head, theirs *nixspace.Version) error {
	if in.DryRun {
		return nil
	}
	m, err := manifest.Parse(manifest.FileName, []byte(head.Manifest))
	if err != nil {
		return err
	}
	required := map[string]string{} // name → command
	for name, c := range m.Checks {
		if c.Required {
			required[name] = c.Command
		}
	}
	if len(required) == 0 {
		return nil
	}
	own, err := manifest.Parse(manifest.FileName, []byte(theirs.Manifest))
	if err != nil {
		return err
	}
	done, err := tx.Experiments().List(ctx, nixspace.ExperimentFilter{Kind: nixspace.ExperimentCheck, Version: theirs.ID, Limit: maxChecked})
	if err != nil {
		return err
	}
	for _, e := range done {
		for _, name := range passed(e, theirs.VersionHash) {
			// A check of that name that does something else is another check.
			if own.Checks[name].Command == required[name] {
				delete(required, name)
			}
		}
	}
	if len(required) == 0 {
		return nil
	}
	names := strings.Join(slices.Sorted(maps.Keys(required)), ", ")
	return nixspace.Errorf(nixspace.KindConflict, "checks_required", "%s requires checks that %s did not pass: %s", in.Into, in.From, names).
		WithHint("run them: nixspace check %s, or nixspace merge %s --into %s --check", in.From, in.From, in.Into)
}

// passed returns the names of the checks that a version passed in an experiment.
func passed(e nixspace.Experiment, hash string) []string {
	var answer struct {
		Subjects []struct {
			Hash   string
			Checks []struct {
				Name   string
				Passed bool
			}
		}
	}
	if json.Unmarshal(e.Answer, &answer) != nil { // it did not get far
		return nil
	}
	var out []string
	for _, s := range answer.Subjects {
		for _, c := range s.Checks {
			if s.Hash == hash && c.Passed {
				out = append(out, c.Name)
			}
		}
	}
	return out
}
