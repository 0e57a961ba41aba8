package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The rules on names and values. They are narrow where a name ends up in
// another language: a flake, a shell, a configuration file.
var (
	packageName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_'-]{0,99}$`) // a Nix identifier
	envName       = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,199}$`)
	scriptName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._-]{0,63}$`)
	portName      = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	serviceName   = portName
	databaseName  = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
	sourcePattern = regexp.MustCompile(`^nixpkgs@[0-9a-f]{40}$`)
)

// ownEnv are the variables that NixSpace sets itself in every session.
var ownEnv = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL"}

func checkEnvName(name string) error {
	if !envName.MatchString(name) {
		return fmt.Errorf("%s cannot be the name of a variable", quote(name))
	}
	if slices.Contains(ownEnv, name) {
		return fmt.Errorf("the variable %s is set by NixSpace itself", name)
	}
	return nil
}

func checkSource(s string) error {
	if s != string(Catalog) && !sourcePattern.MatchString(s) {
		return fmt.Errorf("%s is no package source", quote(s))
	}
	return nil
}

// serviceKind is a service that NixSpace knows how to run.
type serviceKind struct {
	family    string // the package that it needs
	databases bool
	port      int
	setting   *regexp.Regexp
	own       []string // settings that NixSpace gives itself
}

// serviceKinds by the name of the service.
var serviceKinds = map[string]serviceKind{
	"postgresql": {
		family: "postgresql", databases: true, port: 5432,
		setting: regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}(\.[a-z][a-z0-9_]{0,62})?$`),
		own: []string{
			"port", "listen_addresses", "unix_socket_directories", "data_directory", "hba_file", "ident_file",
			"config_file", "external_pid_file", "include", "include_if_exists", "include_dir",
		},
	},
	"redis": {
		family: "redis", port: 6379,
		setting: regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`),
		own: []string{
			"port", "bind", "unixsocket", "dir", "daemonize", "pidfile", "include", "supervised", "protected-mode", "logfile",
		},
	},
}

// KnownServices returns the names of the services that need no command, sorted.
func KnownServices() []string { return sorted(serviceKinds) }

// ServicePort returns the port of a service: its own, or the usual one of a
// known service; 0 where it has none.
func ServicePort(name string, s Service) int {
	if s.Port != 0 {
		return s.Port
	}
	return serviceKinds[name].port
}

// maxSetting bounds the text of a setting, in bytes.
const maxSetting = 1000

// checkSetting refuses values that a line of a configuration file cannot hold.
func checkSetting(s string) error {
	if len(s) > maxSetting {
		return fmt.Errorf("it is too long: %d bytes, of %d allowed", len(s), maxSetting)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("it has a line break or another control character")
	}
	return nil
}

// validText reports whether a TOML string can hold s.
func validText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
