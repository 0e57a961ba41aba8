package main

import (
	"context"

	"github.com/nixspace/nixspace"
)

type doctorCmd struct{}

// Run reports that the verb is not part of this build.
func (*doctorCmd) Run(context.Context, *globals, streams) error {
	return nixspace.Errorf(nixspace.KindUnavailable, "not_built", "this build of nixspace has no %q", "doctor")
}
