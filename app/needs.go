package app

import (
	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// needs is what a version wants of its machine, beside its packages.
type needs struct {
	cpus               int
	memoryMiB, diskMiB int64
	env                map[string]string
	services           []nixspace.Service
}

func machineNeeds(c manifest.Canonical) needs {
	return needs{cpus: c.Resources.CPUs, memoryMiB: c.Resources.Memory, diskMiB: c.Resources.Disk}
}

func renderFlake(string, nixspace.FlakeSource, *manifest.Resolved) (string, string, error) {
	return "{ }", "{}", nil
}
