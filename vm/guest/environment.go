package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

func itoa(n int) string { return strconv.Itoa(n) }

// path returns the place of one of the agent's own folders.
func (a *Agent) path(p string) string { return a.cfg.Root + p }

// environ returns the environment of a process: what every process in the guest
// has, the environment's variables, and then those of the sets given.
func (a *Agent) environ(sets ...map[string]string) map[string]string {
	a.mu.Lock()
	r := a.prepared
	a.mu.Unlock()
	env := map[string]string{
		"HOME":    a.path("/home/dev"),
		"USER":    devName,
		"LOGNAME": devName,
		"SHELL":   shell(),
		"LANG":    "C.UTF-8",
		"TMPDIR":  "/tmp",
	}
	var bins []string
	for _, dir := range []string{r.Environment, r.Base} {
		if dir != "" {
			bins = append(bins, dir+"/bin")
		}
	}
	if len(bins) == 0 {
		// Only before the guest was prepared, and where the agent isolates nothing.
		bins = append(bins, os.Getenv("PATH"))
	}
	env["PATH"] = strings.Join(bins, ":")
	if r.Base != "" {
		for key, path := range baseVariables {
			if _, err := os.Stat(r.Base + path); err == nil {
				env[key] = r.Base + path
			}
		}
	}
	for _, set := range append([]map[string]string{r.Env}, sets...) {
		for k, v := range set {
			env[k] = v
		}
	}
	return env
}

// shell returns the shell that people get.
func shell() string {
	if _, err := os.Stat("/bin/bash"); err == nil {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// baseVariables point programs to parts of the base system that they would look
// for in places that a guest does not have.
var baseVariables = map[string]string{
	"LOCPATH":           "/lib/locale",
	"SSL_CERT_FILE":     "/etc/ssl/certs/ca-bundle.crt",
	"TZDIR":             "/share/zoneinfo",
	"TERMINFO_DIRS":     "/share/terminfo",
	"NIX_SSL_CERT_FILE": "/etc/ssl/certs/ca-bundle.crt",
}

// flatten returns an environment as the kernel takes it, sorted.
func flatten(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}

func checkEnv(env map[string]string) error {
	for k, v := range env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.Contains(v, "\x00") {
			return nixspace.Errorf(nixspace.KindInvalid, "env_invalid", "%q cannot be an environment variable", k)
		}
	}
	return nil
}

func checkArgv(argv []string) error {
	if len(argv) == 0 || argv[0] == "" {
		return nixspace.Errorf(nixspace.KindInvalid, "command_empty", "there is no command to run")
	}
	for _, arg := range argv {
		if strings.Contains(arg, "\x00") {
			return nixspace.Errorf(nixspace.KindInvalid, "command_invalid", "an argument of %s holds a zero byte", argv[0])
		}
	}
	return nil
}

// lookup finds the program that name means, as a shell would: a name with a slash
// is a path, relative to dir, any other is looked for in the folders of path.
func lookup(name, path, dir string) (string, error) {
	if strings.Contains(name, "/") {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		switch err := executable(file); {
		case err == nil:
			return file, nil
		case errors.Is(err, fs.ErrNotExist):
			return "", nixspace.Errorf(nixspace.KindNotFound, "command_not_found", "there is no file %s in the machine", file)
		default:
			return "", nixspace.Errorf(nixspace.KindInvalid, "command_not_executable", "%s cannot be executed: %w", file, err)
		}
	}
	for _, bin := range filepath.SplitList(path) {
		if file := filepath.Join(bin, name); filepath.IsAbs(file) && executable(file) == nil {
			return file, nil
		}
	}
	return "", nixspace.Errorf(nixspace.KindNotFound, "command_not_found", "there is no command %q in the machine", name).
		WithHint("add the package that has it to the environment; looked in %s", path)
}

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory")
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("its mode %v does not allow it", info.Mode())
	}
	return nil
}
