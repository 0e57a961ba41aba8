package manifest

import (
	"strings"
	"time"
)

// Check is a command that says whether an environment is as it should be: it passes
// with exit code 0. Checks are no part of what an environment is, so its hash does
// not depend on them.
type Check struct {
	Command string   // for the shell, in /workspace
	Timeout Duration // [DefaultCheckTimeout] when 0
	// Required says that only what passed the check is merged into the environment.
	Required bool
}

// The limits of a [Check].
const (
	DefaultCheckTimeout Duration = Duration(10 * time.Minute)
	MaxCheckTimeout     Duration = Duration(6 * time.Hour)
	maxChecks                    = 50
)

func (d *decoder) checks(path []string, v any) map[string]Check {
	out := map[string]Check{}
	for name, v := range d.table(path, v, maxChecks) {
		at := below(path, name)
		if !scriptName.MatchString(name) {
			d.at(at, true, "use letters, digits, '-', '_', '.' and ':', with a letter or digit first, 64 at most", "%s cannot be the name of a check", quote(name))
		}
		var c Check
		for k, v := range d.table(at, v, maxEntries) {
			p := below(at, k)
			switch k {
			case "command":
				c.Command, _ = d.text(p, v)
			case "timeout":
				c.Timeout = d.duration(p, v, MaxCheckTimeout)
			case "required":
				required, ok := v.(bool)
				if !ok {
					d.at(p, false, "write true or false", "required is neither true nor false")
				}
				c.Required = required
			default:
				d.unknown(p, "", []string{"command", "timeout", "required"})
			}
		}
		if strings.TrimSpace(c.Command) == "" {
			d.at(at, true, `write command = "npm test"`, "check %s has no command", quote(name))
		}
		out[name] = c
	}
	return out
}

func checkLeaves(checks map[string]Check) []leaf {
	var out []leaf
	for _, name := range sorted(checks) {
		at := []string{"checks", name}
		out = append(out, leaf{below(at, "command"), checks[name].Command})
		if t := checks[name].Timeout; t != 0 {
			out = append(out, leaf{below(at, "timeout"), t.String()})
		}
		if checks[name].Required {
			out = append(out, leaf{below(at, "required"), true})
		}
	}
	return out
}
