package nix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/derivation"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/daemon"
)

// Script is a shell script that makes a tree out of programs in the store, in
// Nix's sandbox. What it makes is found again by what it is made of: the same
// script with the same inputs is not run twice.
type Script struct {
	Name string // of the store path
	// Base is the base system: its sh runs the script, and its locales are used.
	Base string
	// Uses are the packages whose programs come before those of the base system.
	Uses []string
	Text string // it makes $out
	Args []string
}

// runScript runs the text of a script, which is in its environment: the library that
// writes derivations does not escape what stands in arguments.
const runScript = `IFS=; set -f; eval $script`

// scriptStart comes before every script. Many programs start others by /bin/sh;
// where builds run as users of their own, it cannot be made, and what needs it fails.
const scriptStart = `unset IFS
set +f
if [ ! -e /bin/sh ] && mkdir -p /bin 2>/dev/null; then ln -s "$shell" /bin/sh 2>/dev/null || true; fi
export HOME="$TMPDIR"
cd "$TMPDIR"
`

// Make runs a script, unless the store has what it makes, and keeps the result from
// the garbage collector under the name root. It fails with code "build_failed".
// Arguments are plain words: they hold no quotes, backslashes, tabs or line ends.
func (e *Engine) Make(ctx context.Context, s Script, root string, progress nixspace.ProgressFunc) (string, error) {
	drv, err := e.drvs.script(s)
	if err != nil {
		return "", fmt.Errorf("write the derivation of %s: %w", s.Name, err)
	}
	out := drv.Outputs["out"].Path
	// The usual case needs no derivation.
	err = e.Root(ctx, root, out)
	if nixspace.ErrorCode(err) != "path_missing" {
		return out, err
	}
	d, err := e.addDerivation(ctx, drv)
	if err != nil {
		return "", err
	}
	if err := e.Realise(ctx, progress, d.DrvPath); err != nil {
		return "", err
	}
	return out, e.Root(ctx, root, out)
}

// script returns the derivation of a script.
func (d *derivations) script(s Script) (*derivation.Derivation, error) {
	if err := errors.Join(daemon.CheckName(s.Name+".drv"), daemon.CheckStorePath(s.Base)); err != nil {
		return nil, err
	}
	for _, arg := range s.Args {
		if strings.ContainsAny(arg, "\"\\\n\r\t") {
			return nil, fmt.Errorf("%q cannot be an argument", arg)
		}
	}
	drv := &derivation.Derivation{
		Outputs:          map[string]*derivation.Output{"out": {}},
		InputDerivations: map[string][]string{},
		InputSources:     []string{s.Base},
		Platform:         "x86_64-linux",
		Builder:          s.Base + "/bin/sh",
		Arguments:        append([]string{"-c", runScript, s.Name}, s.Args...),
		Env: map[string]string{
			"LANG": "C.UTF-8", "LOCPATH": s.Base + "/lib/locale", "TZDIR": s.Base + "/share/zoneinfo",
			"builder": s.Base + "/bin/sh", "shell": s.Base + "/bin/sh", "script": scriptStart + s.Text, "name": s.Name, "out": "", "system": "x86_64-linux",
			// It is quick, and nobody else has it.
			"allowSubstitutes": "", "preferLocalBuild": "1",
		},
	}
	path := ""
	for _, p := range s.Uses {
		if err := daemon.CheckStorePath(p); err != nil {
			return nil, err
		}
		drv.InputSources = append(drv.InputSources, p)
		path += p + "/bin:"
	}
	drv.Env["PATH"] = path + s.Base + "/bin"
	slices.Sort(drv.InputSources)
	drv.InputSources = slices.Compact(drv.InputSources)
	return drv, d.finish(drv)
}
