package nix

import (
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
)

// settings are what Nix is configured with. Nothing else is: the machine's
// nix.conf is not read, so that the same thing happens everywhere.
func (e *Engine) settings() map[string]string {
	s := map[string]string{
		"experimental-features": "nix-command flakes",
		// Without a cache Nix must not look for one: offline, each attempt costs
		// seconds.
		"substituters":        strings.Join(e.cfg.Substituters, " "),
		"trusted-public-keys": strings.Join(e.cfg.TrustedKeys, " "),
		"sandbox":             "true",
		// Where a sandbox cannot be made, Debian's newer Nix builds without one.
		"sandbox-fallback": "false",
		// An empty name is an error for Nix 2.8, which then downloads one.
		"flake-registry":      e.registryFile(),
		"accept-flake-config": "false",
		"build-users-group":   buildUsers(),
		"builders":            "",
		"connect-timeout":     "10",
		"warn-dirty":          "false",
	}
	if os.Geteuid() != 0 {
		if u, err := user.Current(); err == nil {
			s["trusted-users"] = "root " + u.Username
		}
	}
	maps.Copy(s, e.cfg.Settings)
	return s
}

// buildUsers returns the group of users that builds run as. Without one, root's
// builds run as a user of a namespace of their own; naming a group that does not
// exist would be an error.
func buildUsers() string {
	if os.Geteuid() != 0 {
		return ""
	}
	if _, err := user.LookupGroup("nixbld"); err != nil {
		return ""
	}
	return "nixbld"
}

// render writes settings as the variable NIX_CONFIG has them.
func render(settings map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = %s\n", k, strings.ReplaceAll(settings[k], "\n", " "))
	}
	return b.String()
}

func (e *Engine) registryFile() string { return filepath.Join(e.dir, "registry.json") }

// environ is the environment of every Nix process. Of the caller's it has only
// what says how to reach a network.
func (e *Engine) environ(extra ...string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + filepath.Join(e.dir, "home"),
		"NIX_CONFIG=" + render(e.settings()),
		"NIX_CONF_DIR=" + filepath.Join(e.dir, "conf"), // empty
		"NIX_USER_CONF_FILES=/dev/null",
		"LANG=C.UTF-8",
	}
	for _, k := range []string{"http_proxy", "https_proxy", "no_proxy", "all_proxy", "NIX_SSL_CERT_FILE", "SSL_CERT_FILE", "TMPDIR"} {
		for _, k := range slices.Compact([]string{k, strings.ToUpper(k)}) {
			if v, ok := os.LookupEnv(k); ok {
				env = append(env, k+"="+v)
			}
		}
	}
	return append(env, extra...)
}
