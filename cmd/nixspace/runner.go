package main

import (
	"context"

	"github.com/nixspace/nixspace/internal/telemetry"
	"github.com/nixspace/nixspace/vm/runner"
)

type runnerCmd struct {
	// No path type: it is not always a path; see [runner.Main].
	Dir string `arg:"" help:"The session's directory."`
}

// Run runs the session's machine until it ends.
func (c *runnerCmd) Run(ctx context.Context, std streams) error {
	log, err := telemetry.NewLogger(std.Err, "json", "info")
	if err != nil {
		return err
	}
	return runner.Main(ctx, c.Dir, log)
}
