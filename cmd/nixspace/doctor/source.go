package doctor

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// checkGit looks for what repositories are fetched with.
func checkGit(ctx context.Context, _ Config) (Finding, error) {
	const without = "folders, archives and templates work without; for repositories, "
	path, err := exec.LookPath("git")
	if err != nil {
		return warn("git is not installed", without+"install the package git"), nil
	}
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return warn(fmt.Sprintf("%s does not run: %v", path, err), without+"see to it that it does"), nil
	}
	version := strings.TrimPrefix(strings.TrimSpace(string(out)), "git version ")
	var major, minor int
	// Since 2.32 a fetch can be kept from the configuration of the machine.
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil || major < 2 || major == 2 && minor < 32 {
		return warn("git "+version+" is too old", without+"install 2.32 or a later one"), nil
	}
	detail := "git " + version + "; repositories are fetched by https"
	if _, err := exec.LookPath("ssh"); err != nil {
		return warn(detail+", not by ssh", "for ssh, install the package openssh-client (Fedora: openssh-clients)"), nil
	}
	return ok(detail + " and ssh"), nil
}
