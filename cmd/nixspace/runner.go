package main

import (
	"context"

	"github.com/nixspace/nixspace"
)

type runnerCmd struct {
	Dir string `arg:"" type:"path" help:"The session's directory."`
}

// Run reports that the verb is not part of this build.
func (*runnerCmd) Run(context.Context, *globals, streams) error {
	return nixspace.Errorf(nixspace.KindUnavailable, "not_built", "this build of nixspace has no %q", "runner")
}
