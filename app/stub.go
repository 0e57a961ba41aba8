package app

import (
	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

func renderFlake(string, nixspace.FlakeSource, *manifest.Resolved) (string, string, error) {
	return "{ }", "{}", nil
}

type needs struct {
	cpus               int
	memoryMiB, diskMiB int64
	env                map[string]string
	services           []nixspace.Service
}

func machineNeeds(v *nixspace.Version) (needs, error) { return needs{}, nil }
