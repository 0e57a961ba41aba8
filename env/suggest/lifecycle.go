package suggest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/constraint"
)

// lifecycle is until when lines of releases get security fixes, as their projects
// announce it.
type lifecycle struct {
	AsOf     string            `json:"asOf"`
	Families map[string]family `json:"families"`
}

type family struct {
	Source string `json:"source"`
	Page   string `json:"page"` // where it is to be read
	// Parts is how many numbers name a line.
	Parts int `json:"parts"`
	// Ends has the last day of each line.
	Ends map[string]string `json:"ends"`
	// Newest says that only so many of the newest lines are supported, whatever the
	// day.
	Newest int `json:"newest"`
}

//go:embed lifecycle.json
var lifecycleJSON []byte

var known = func() lifecycle {
	l, err := readLifecycle(lifecycleJSON)
	if err != nil {
		panic("suggest: " + err.Error()) // a test reads it, too
	}
	return l
}()

func readLifecycle(b []byte) (lifecycle, error) {
	var l lifecycle
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("read the table of ends: %w", err)
	}
	for name, f := range l.Families {
		if f.Source == "" || !strings.HasPrefix(f.Page, "https://") || f.Parts == 0 || (len(f.Ends) == 0) == (f.Newest == 0) {
			return l, fmt.Errorf("read the table of ends: %s is incomplete", name)
		}
		for line, day := range f.Ends {
			if _, err := time.Parse(time.DateOnly, day); err != nil {
				return l, fmt.Errorf("read the table of ends: %s %s: %w", name, line, err)
			}
		}
	}
	return l, nil
}

// lineOf is the line of releases that a version is of.
func (f family) lineOf(version string) string {
	n := strings.Split(version, ".")
	return strings.Join(n[:min(len(n), max(f.Parts, 1))], ".")
}

// end says when a line's support ends, and that it has ended. Where the day is
// not known, or the table does not have the line, ok is false.
func (f family) end(version string, now time.Time) (day time.Time, ended, ok bool) {
	s, ok := f.Ends[f.lineOf(version)]
	if !ok {
		return day, false, false
	}
	day, err := time.Parse(time.DateOnly, s)
	return day, err == nil && now.After(day.AddDate(0, 0, 1)), err == nil
}

// newerLines is how many lines above a version the source offers.
func (f family) newerLines(version string, members []nixspace.Package) []string {
	var lines []string
	for _, m := range members {
		if l := f.lineOf(m.Version); constraint.Compare(l, f.lineOf(version)) > 0 && !slices.Contains(lines, l) {
			lines = append(lines, l)
		}
	}
	return lines
}

// unsupported reports whether nobody fixes a version any more, and why.
func (f family) unsupported(name, version string, members []nixspace.Package, now time.Time) (why string, yes bool) {
	if f.Newest > 0 {
		newer := f.newerLines(version, members)
		if len(newer) < f.Newest {
			return "", false
		}
		return fmt.Sprintf("%s: the %d newest releases get fixes, and there is %s", f.Source, f.Newest, strings.Join(newer, " and ")), true
	}
	day, ended, ok := f.end(version, now)
	if !ok || !ended {
		return "", false
	}
	return fmt.Sprintf("%s (as of %s): %s %s ended on %s", f.Source, known.AsOf, name, f.lineOf(version), day.Format(time.DateOnly)), true
}
