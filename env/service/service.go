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
	"time"

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
		for _, name := range m.Services[own[i].Name].DependsOn {
			if !slices.Contains(own[i].Needs, name) {
				own[i].Needs = append(own[i].Needs, name)
			}
		}
	}
	if m.Network.Policy().Any() {
		maps.Copy(env, proxyEnv())
	}
	maps.Copy(env, m.Env)
	return append(known, ordered(own)...), env
}

// ordered puts services after those that they need: a guest stops them the other
// way round.
func ordered(services []nixspace.Service) []nixspace.Service {
	out := make([]nixspace.Service, 0, len(services))
	in := map[string]bool{}
	var add func(s nixspace.Service)
	add = func(s nixspace.Service) {
		if in[s.Name] {
			return
		}
		in[s.Name] = true // before what it needs: a circle, which no manifest has, ends too
		for _, t := range services {
			if slices.Contains(s.Needs, t.Name) {
				add(t)
			}
		}
		out = append(out, s)
	}
	for _, s := range services {
		add(s)
	}
	return out
}

// command is a service of the project's own.
func command(name string, s manifest.Service) nixspace.Service {
	out := nixspace.Service{
		Name: name,
		Argv: []string{"sh", "-c", s.Command},
		Env:  maps.Clone(s.Env),
		Dir:  path.Join("/workspace", s.Directory),

		Ready:        probe(s),
		ReadyTimeout: time.Duration(s.ReadyTimeout),
		Restart: nixspace.Restart{
			When: nixspace.RestartWhen(s.Restart), Limit: s.RestartLimit, Delay: time.Duration(s.RestartDelay),
		},
	}
	if s.Port != 0 {
		out.Ports = []int{s.Port}
	}
	out.Ports = append(out.Ports, s.Ports...)
	return out
}

// probe is how to see that a service is ready. Its port alone counts only where
// the manifest says nothing better.
func probe(s manifest.Service) nixspace.Probe {
	p := nixspace.Probe{TCP: s.ReadyPort, HTTP: s.ReadyHTTP}
	if s.Ready != "" {
		p.Exec = []string{"sh", "-c", s.Ready}
	}
	if p.TCP == 0 && (p.HTTP != "" || s.Ready == "") {
		p.TCP = s.Port
	}
	return p
}
