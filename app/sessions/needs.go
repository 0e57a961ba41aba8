package sessions

import (
	"fmt"
	"maps"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/service"
)

// needs is what a version wants of its machine, beside its packages.
type needs struct {
	cpus               int
	memoryMiB, diskMiB int64
	env                map[string]string
	services           []nixspace.Service
	egress             nixspace.Egress
}

func machineNeeds(v *nixspace.Version, c manifest.Canonical) (needs, error) {
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return needs{}, fmt.Errorf("read version %s: %w", v.ID, err)
	}
	n := needs{cpus: c.Resources.CPUs, memoryMiB: c.Resources.Memory, diskMiB: c.Resources.Disk, egress: m.Network.Policy()}
	n.services, n.env = service.Plan(m)
	if c.Flake != nil {
		// What the manifest says comes on top.
		env := maps.Clone(c.Flake.Env)
		if env == nil {
			env = map[string]string{}
		}
		maps.Copy(env, n.env)
		n.env = env
	}
	return n, nil
}
