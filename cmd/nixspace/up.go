package main

import (
	"context"

	"github.com/nixspace/nixspace"
)

type upCmd struct{}

// Run reports that the verb is not part of this build.
func (*upCmd) Run(context.Context, *globals, streams) error {
	return nixspace.Errorf(nixspace.KindUnavailable, "not_built", "this build of nixspace has no %q", "up")
}
