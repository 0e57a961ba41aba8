package nix

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"

	"github.com/nix-community/go-nix/pkg/derivation"

	"github.com/nixspace/nixspace"
)

// hostOnly are directories of a machine that no build sandbox has.
var hostOnly = []string{"boot", "home", "media", "mnt", "opt", "root", "run", "srv", "sys"}

// Preflight builds a tiny derivation and checks that it was built in a sandbox.
// It fails with code "nix_unsandboxed" when it was not, and with code
// "nix_preflight" when nothing can be built.
//
// The derivation lists the root directory that it sees: the one of a sandbox has
// no /home and no /root. Its builder is a part of Nix, so that nothing has to be in
// the store. It is another one each time, because a build is not repeated.
func (e *Engine) Preflight(ctx context.Context) error {
	name := "nixspace-preflight"
	drv := &derivation.Derivation{
		Outputs:          map[string]*derivation.Output{"out": {}},
		InputDerivations: map[string][]string{},
		Platform:         "builtin",
		Builder:          "builtin:buildenv",
		Env: map[string]string{
			"allowSubstitutes": "",
			"builder":          "builtin:buildenv",
			"derivations":      "true 1 1 /",
			"manifest":         "/dev/null",
			"name":             name,
			"nonce":            rand.Text(),
			"out":              "",
			"preferLocalBuild": "1",
			"system":           "builtin",
		},
	}
	if err := e.drvs.finish(drv); err != nil {
		return fmt.Errorf("write the derivation of %s: %w", name, err)
	}
	d, err := e.addDerivation(ctx, drv)
	if err != nil {
		return err
	}
	if err := e.Realise(ctx, nil, d.DrvPath); err != nil {
		if nixspace.ErrorKind(err) != nixspace.KindBuild {
			return err
		}
		return nixspace.Errorf(nixspace.KindUnavailable, "nix_preflight", "Nix cannot build on this machine: %w", err).
			WithHint("its sandbox needs user, mount and network namespaces: in a container, allow them (for example --privileged); otherwise see the log above")
	}
	entries, err := os.ReadDir(d.OutPath)
	if err != nil {
		return fmt.Errorf("read what the preflight built: %w", err)
	}
	for _, entry := range entries {
		if slices.Contains(hostOnly, entry.Name()) {
			return nixspace.Errorf(nixspace.KindUnavailable, "nix_unsandboxed",
				"the nix daemon at %s builds without a sandbox: a build saw /%s of this machine", e.socket, entry.Name()).
				WithHint("set sandbox = true and sandbox-fallback = false in its nix.conf, or make this user one of its trusted-users")
		}
	}
	return nil
}
