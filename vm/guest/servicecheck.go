package guest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// checkNeeds refuses services that would wait for ever: for one that there is
// not, or for each other.
func checkNeeds(known, fresh []nixspace.Service) error {
	needs := map[string][]string{}
	for _, spec := range append(known, fresh...) {
		needs[spec.Name] = spec.Needs
	}
	done := map[string]bool{}
	var visit func(name string, path []string) error
	visit = func(name string, path []string) error {
		if i := slices.Index(path, name); i >= 0 {
			return nixspace.Errorf(nixspace.KindInvalid, "service_invalid", "services need each other: %s",
				strings.Join(append(path[i:], name), " needs "))
		}
		if done[name] {
			return nil
		}
		for _, n := range needs[name] {
			if _, ok := needs[n]; !ok {
				return nixspace.Errorf(nixspace.KindInvalid, "service_invalid", "service %s needs %q, and there is no such service", name, n)
			}
			if err := visit(n, append(path, name)); err != nil {
				return err
			}
		}
		done[name] = true
		return nil
	}
	for _, spec := range fresh {
		if err := visit(spec.Name, nil); err != nil {
			return err
		}
	}
	return nil
}

// checkService refuses what could not be run, and what would leave the paths
// that a service may use.
func checkService(spec *nixspace.Service) error {
	invalid := func(format string, args ...any) error {
		return nixspace.Errorf(nixspace.KindInvalid, "service_invalid", "service %s: %s", spec.Name, fmt.Sprintf(format, args...))
	}
	if err := nixspace.CheckName("a service", spec.Name); err != nil {
		return err
	}
	commands := append([][]string{spec.Argv}, spec.Init...)
	commands = append(commands, spec.After...)
	if len(spec.Ready.Exec) > 0 {
		commands = append(commands, spec.Ready.Exec)
	}
	for _, argv := range commands {
		if err := checkArgv(argv); err != nil {
			return invalid("%v", err)
		}
	}
	if err := checkEnv(spec.Env); err != nil {
		return invalid("%v", err)
	}
	paths := []string{spec.Dir, spec.InitDone, spec.Ready.Unix}
	for _, d := range spec.Dirs {
		paths = append(paths, d.Path)
	}
	for p := range spec.Files {
		paths = append(paths, p)
	}
	for _, p := range paths {
		if p != "" && (!filepath.IsAbs(p) || strings.Contains(p, "\x00")) {
			return invalid("%q is not an absolute path", p)
		}
	}
	if h := spec.Ready.HTTP; h != "" {
		if h[0] != '/' || spec.Ready.TCP < 1 || strings.ContainsFunc(h, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return invalid("%q on port %d cannot be asked for", h, spec.Ready.TCP)
		}
	}
	switch spec.Restart.When {
	case "", nixspace.RestartAlways, nixspace.RestartOnFailure, nixspace.RestartNever:
	default:
		return invalid("there is no restart policy %q", spec.Restart.When)
	}
	if spec.StopSignal != "" && signalNumber(spec.StopSignal) == 0 {
		return invalid("there is no signal %q", spec.StopSignal)
	}
	return nil
}
