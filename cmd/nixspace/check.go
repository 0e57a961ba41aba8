package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/experiments"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

type checkCmd struct {
	Refs    []string `arg:"" name:"environment" help:"The environments or versions to check."`
	Only    []string `placeholder:"NAME" help:"Only these checks."`
	History bool     `help:"Print how the checks of the first environment ended so far, newest first."`
	limitFlags
	formFlags
}

// Help says more than one line about the verb.
func (*checkCmd) Help() string {
	return "Checks are commands in the manifest, [checks.NAME] with command = \"npm test\" and, where it needs more than ten minutes, timeout = \"1h\". Each runs in a machine of its own. " +
		"The exit code is 1 where one does not pass. `nixspace merge --check` runs those of a branch before it is merged.\n\nExample: nixspace set shop checks.test.command='npm test' && nixspace check shop"
}

// Run runs checks.
func (c *checkCmd) Run(ctx context.Context, g *globals, std streams) error {
	if c.History {
		return c.history(ctx, g, std)
	}
	x := &experiment{g: g, std: std, form: c.Format, failed: checksFailed}
	return x.start(ctx, client.StartExperiment{Kind: "CHECK", Refs: c.Refs, Checks: c.Only}, c.limitFlags)
}

// checksFailed is the exit code of checks that do not pass.
func checksFailed(e *client.Experiment) error {
	var a experiments.CheckAnswer
	if err := json.Unmarshal(e.Answer, &a); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if !a.Passed {
		return exitError(1)
	}
	return nil
}

// history prints how checks ended.
func (c *checkCmd) history(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	list, err := api.Experiments(ctx, "CHECK", 500)
	if err != nil {
		return err
	}
	var kept []client.Experiment
	var rows [][]string
	for _, e := range list {
		var a experiments.CheckAnswer
		_ = json.Unmarshal(e.Answer, &a) // one that did not get far has none
		for _, s := range a.Subjects {
			if s.Subject != c.Refs[0] {
				continue
			}
			kept = append(kept, e)
			for _, one := range s.Checks {
				result := string(e.Status)
				if one.Run > 0 {
					result = map[bool]string{true: "passed", false: "failed"}[one.Passed]
				}
				rows = append(rows, []string{fmt.Sprint(e.Number), ago(e.CreatedAt), short(s.Hash), one.Name, result, fmt.Sprintf("%.1f s", one.Seconds)})
			}
		}
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"experiments": kept})
	}
	return table(std.Out, []string{"NUMBER", "WHEN", "VERSION", "CHECK", "RESULT", "TIME"}, rows)
}

type upgradesCmd struct {
	Ref     string   `arg:"" name:"environment" help:"The environment or version whose packages are looked at."`
	Package []string `placeholder:"NAME" help:"Only upgrades of these packages."`
	Only    []string `placeholder:"NAME" help:"Only these checks."`
	limitFlags
	formFlags

	argv []string
}

// Help says more than one line about the verb.
func (*upgradesCmd) Help() string {
	return "Lists newer versions of what an environment uses, tries each on a throw-away version with the environment's checks (or the command after --), and shows which pass, how fast, and what they weigh. " +
		"Without checks, an upgrade passes where it builds and its services come up.\n\nExample: nixspace upgrades shop --package postgresql"
}

func (c *upgradesCmd) setCommand(argv []string) { c.argv = argv }

// Run tries upgrades.
func (c *upgradesCmd) Run(ctx context.Context, g *globals, std streams) error {
	x := &experiment{g: g, std: std, form: c.Format}
	return x.start(ctx, client.StartExperiment{Kind: "UPGRADES", Refs: []string{c.Ref}, Packages: c.Package, Checks: c.Only, Command: c.argv}, c.limitFlags)
}

// checkMerge runs the checks of what is to be merged; it fails with code
// "checks_failed" where one does not pass.
func checkMerge(ctx context.Context, g *globals, std streams, from string) error {
	quiet := streams{In: std.In, Out: std.Err, Err: std.Err}
	x := &experiment{g: &globals{URL: g.URL, Token: g.Token, State: g.State}, std: quiet, form: "text", failed: func(e *client.Experiment) error {
		if checksFailed(e) == nil {
			return nil
		}
		var a experiments.CheckAnswer
		_ = json.Unmarshal(e.Answer, &a) // it was read just now
		var failed []string
		for _, c := range a.Subjects[0].Checks {
			if !c.Passed {
				failed = append(failed, c.Name)
			}
		}
		return nixspace.Errorf(nixspace.KindConflict, "checks_failed", "%s does not pass its checks: %s", from, strings.Join(failed, ", ")).
			WithHint("see what they say: nixspace experiments show %d --runs", e.Number)
	}}
	return x.start(ctx, client.StartExperiment{Kind: "CHECK", Refs: []string{from}}, limitFlags{})
}
