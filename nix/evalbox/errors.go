package evalbox

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

// error is what a report says went wrong; nil where nothing did.
func (r *report) error(s *spec) error {
	switch {
	case r.Failed != "":
		return &setupError{r.Failed}
	case r.Broken != "":
		return errors.New("evaluate a flake: " + r.Broken)
	case r.TooLarge:
		return limitError("what it comes to is larger than %d MiB", s.Limits.Result>>20)
	case r.Unreadable != "":
		return invalid("it makes a derivation that cannot be read: "+r.Unreadable, "")
	case r.Step == "":
		return nil
	case r.Overflow:
		return limitError("Nix prints more than %d MiB for it", s.Limits.Print>>20)
	case r.NoSpace:
		return limitError("it writes more than %d MiB of files", s.Limits.Files>>20)
	}
	said := r.Stderr
	switch {
	case strings.Contains(said, "infinite recursion"), strings.Contains(said, "stack overflow"), strings.Contains(said, "max-call-depth"):
		return invalid("it recurses without end", said)
	case strings.Contains(said, "out of memory"), strings.Contains(said, "bad_alloc"), strings.Contains(said, "Too many heap sections"), strings.Contains(said, "annot allocate memory"):
		return limitError("it wants more than %d MiB of memory", s.Limits.Memory>>20)
	}
	if r.Step == "lock" && r.Signal == "" && offline.MatchString(said) {
		// An input of an input: those of the flake itself were looked at before.
		return nixspace.Errorf(nixspace.KindInvalid, CodeMissing, "an input of one of the flake's inputs is not on this machine, and only what flake.lock names by its hash is fetched: %.300s", strings.ToValidUTF8(reason(said), "\uFFFD")).
			WithHint("replace it: --override-input INPUT.INPUT=catalog, or let it follow an input of the flake: inputs.INPUT.inputs.INPUT.follows = \"nixpkgs\"")
	}
	switch r.Signal {
	case "":
		return invalid(reason(said), said)
	case "killed":
		// The kernel kills what goes on after its time and what takes the memory.
		return limitError("it wants more than %s of processor time or %d MiB of memory", s.Limits.CPU, s.Limits.Memory>>20)
	case "CPU time limit exceeded":
		return limitError("it wants more than %s of processor time", s.Limits.CPU)
	}
	return limitError("Nix cannot cope with it (%s)", r.Signal)
}

var (
	// Nix 2.8 has "error: why" and then "at place:line:column:"; newer versions
	// first say what they were doing, and end with "error: why".
	errorLine = regexp.MustCompile(`^\s*error: (.*)$`)
	offline   = regexp.MustCompile(`unable to download|[Cc]ould ?n[o']t (?:resolve|connect)|Failed to open archive|program 'git' failed`)
	place     = regexp.MustCompile(`at (?:«[^»]*»/?|/nix/store/[0-9a-z]{32}-source/|/flake/)([^\s:«»]+):(\d+):(\d+)`)
	storePath = regexp.MustCompile(`/nix/store/[0-9a-z]{32}-source/`)
)

// reason returns Nix's own words for why it failed.
func reason(stderr string) string {
	lines := strings.Split(stderr, "\n")
	found := ""
	for i, l := range lines {
		m := errorLine.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		found = m[1]
		// What does not fit into one line goes on in the next one.
		if strings.TrimSpace(found) == "" && i+1 < len(lines) {
			found = lines[i+1]
		}
	}
	found = strings.TrimSpace(storePath.ReplaceAllString(found, ""))
	found = strings.ReplaceAll(found, flakeDir+"/", "")
	if found == "" {
		return "Nix gives no reason"
	}
	return strings.TrimRight(found, ".")
}

// invalid is the error of a flake that is wrong, with the place if Nix says it.
func invalid(why, stderr string) error {
	if len(why) > 500 {
		why = why[:500] + "…"
	}
	at := places(stderr)
	if strings.Contains(why, "allow-import-from-derivation") {
		why = "it builds something in order to be evaluated (import from derivation), which is not possible here"
	}
	e := nixspace.Errorf(nixspace.KindInvalid, CodeInvalid, "the flake cannot be evaluated: %s", strings.ToValidUTF8(why, "\uFFFD"))
	if len(at) == 0 {
		return e
	}
	m := at[0]
	line, _ := strconv.Atoi(m[2])
	column, _ := strconv.Atoi(m[3])
	e = nixspace.Errorf(nixspace.KindInvalid, CodeInvalid, "the flake cannot be evaluated: %s:%d:%d: %s", m[1], line, column, strings.ToValidUTF8(why, "\uFFFD"))
	return e.WithDetail("file", m[1]).WithDetail("line", line).WithDetail("column", column)
}

// places returns the places in the flake that Nix names, the most telling one first.
func places(stderr string) [][]string {
	all := place.FindAllStringSubmatch(stderr, -1)
	if len(all) == 0 {
		return nil
	}
	// The last place is where it went wrong for newer versions, which print the way
	// there first; for older ones the first one is, next to the reason.
	lines := strings.Split(stderr, "\n")
	last := 0
	for i, l := range lines {
		if errorLine.MatchString(l) {
			last = i
		}
	}
	if near := place.FindAllStringSubmatch(strings.Join(lines[last:], "\n"), 1); len(near) > 0 {
		return near
	}
	return all[len(all)-1:]
}
