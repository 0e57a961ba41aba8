// Package service turns the services of a manifest into programs for a guest to
// keep running, with their configuration, and into the variables that tell other
// programs where they are.
//
// The package is pure. What it makes needs the programs of the service's package
// and those of the base system (sh, rm, sync, mv) in the guest's PATH.
package service

import (
	"maps"
	"path"
	"slices"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// owner is who runs everything in a guest.
const owner = "dev"

// Plan returns the services of a manifest, sorted by name with PostgreSQL and
// Redis first, and the variables of every process in a session: those that lead
// to the services, and the manifest's own, which win.
func Plan(m *manifest.Manifest) ([]nixspace.Service, map[string]string) {
	var known, own []nixspace.Service
	env := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(m.Services)) {
		s := m.Services[name]
		switch name {
		case "postgresql":
			known = append(known, postgresql(s))
			maps.Copy(env, postgresqlEnv(s))
		case "redis":
			known = append(known, redis(s))
			maps.Copy(env, redisEnv(s))
		default:
			own = append(own, command(name, s))
		}
	}
	for i := range own {
		for _, k := range known {
			own[i].Needs = append(own[i].Needs, k.Name)
		}
	}
	maps.Copy(env, m.Env)
	return append(known, own...), env
}

// command is a service of the project's own.
func command(name string, s manifest.Service) nixspace.Service {
	out := nixspace.Service{
		Name: name,
		Argv: []string{"sh", "-c", s.Command},
		Env:  maps.Clone(s.Env),
		Dir:  path.Join("/workspace", s.Directory),
	}
	if s.Port != 0 {
		out.Ports = []int{s.Port}
		out.Ready.TCP = s.Port
	}
	if s.Ready != "" {
		out.Ready = nixspace.Probe{Exec: []string{"sh", "-c", s.Ready}}
	}
	return out
}
