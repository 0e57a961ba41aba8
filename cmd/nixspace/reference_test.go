package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

//go:generate go test -run ^TestConfigurationReference$ -count=1 . -args -update

var update = flag.Bool("update", false, "write docs/configuration.md again")

const referenceFile = "../../docs/configuration.md"

// otherVariables are those that no flag reads, and what they are for.
var otherVariables = []struct{ name, help string }{
	{"NIXSPACE_KERNEL", "A folder with the guest kernel: `vmlinuz` and `modules`. Without it, the one that `scripts/kernel` fetched, else the newest in `/boot`."},
	{"NIXSPACE_AGENT", "The guest agent to put into machines, instead of the one that `nixspace` carries. It must be a static program."},
	{"NIXSPACE_GUEST", "The program to put into machines for SSH, files and editors, instead of the one that `nixspace` carries. It must be a static program."},
	{"NIXSPACE_DOWNLOAD_CACHE", "A folder in which checked downloads are kept and looked for before a registry is asked, so that several state directories and fresh machines share them. Without it nothing is kept: what was fetched is in the Nix store."},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "Turns traces on: the address of a collector that takes OTLP over HTTP. The other `OTEL_` variables mean what they mean everywhere; `OTEL_SDK_DISABLED=true` turns traces off."},
	{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "The same, for traces alone."},
	{"XDG_DATA_HOME", "Where the state directory of users other than root lies: in `nixspace` below it, else in `~/.local/share/nixspace`."},
	{"XDG_RUNTIME_DIR", "Where users other than root keep sockets. A directory in `/tmp` is used where it is not set."},
	{"NO_COLOR, CI, TERM=dumb", "Each of them turns progress bars and colours off."},
}

// internal variables pass something between processes of this program.
var internal = []string{"NIXSPACE_READY_FD"}

// forDevelopers are packages of tests and tools of this repository.
var forDevelopers = regexp.MustCompile(`_test\.go$|(test|tool)/`)

// reference writes the document from the command tree.
func reference(t *testing.T) string {
	t.Helper()
	var tree commands
	parser, err := newParser(&tree, streams{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Configuration\n\nThis file is made from the program by `go generate ./cmd/nixspace`: do not edit it.\n\n" +
		"Everything is set by flags; many can be given as environment variables too, and a flag wins over its variable. " +
		"There is no configuration file. `--no-` before the name turns a switch off.\n\n## For every command\n\n")
	flagTable(&b, parser.Model.Flags)
	for _, cmd := range parser.Model.Leaves(true) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", cmd.FullPath(), cmd.Help)
		if len(cmd.Flags) > 0 {
			b.WriteString("\n")
			flagTable(&b, cmd.Flags)
		}
	}
	b.WriteString("\n## Other environment variables\n\n| variable | meaning |\n|---|---|\n")
	for _, v := range otherVariables {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.name, v.help)
	}
	return b.String()
}

func flagTable(b *strings.Builder, flags []*kong.Flag) {
	b.WriteString("| flag | variable | default | meaning |\n|---|---|---|---|\n")
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		name := "--" + f.Name
		if f.Short != 0 {
			name += ", -" + string(f.Short)
		}
		if !f.IsBool() && f.FormatPlaceHolder() != "" {
			name += " " + f.FormatPlaceHolder()
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", cell(name), codes(f.Envs), codes(nonEmpty(f.Default)), cell(f.Help))
	}
}

func codes(names []string) string {
	for i, n := range names {
		names[i] = "`" + n + "`"
	}
	return strings.Join(names, ", ")
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// cell escapes what would end a cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func TestConfigurationReference(t *testing.T) {
	want := reference(t)
	if *update {
		if err := os.MkdirAll(filepath.Dir(referenceFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/configuration.md is not what the program says: run go generate ./cmd/nixspace")
	}
}

var variablePattern = regexp.MustCompile(`NIXSPACE_[A-Z][A-Z_]*[A-Z]`)

// Every variable that stands in the source is in the reference.
func TestEveryVariableIsDocumented(t *testing.T) {
	doc, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("git", "-C", "../..", "ls-files", "--cached", "--others", "--exclude-standard", "*.go").Output()
	if err != nil {
		t.Fatalf("list the source files: %v", err)
	}
	known := append(variablePattern.FindAllString(string(doc), -1), internal...)
	for _, name := range strings.Fields(string(out)) {
		if forDevelopers.MatchString(name) {
			continue
		}
		source, err := os.ReadFile(filepath.Join("../..", name))
		if os.IsNotExist(err) {
			continue // deleted and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range variablePattern.FindAllString(string(source), -1) {
			if !slices.Contains(known, v) {
				t.Errorf("%s uses %s, which docs/configuration.md does not explain", name, v)
				known = append(known, v)
			}
		}
	}
}
