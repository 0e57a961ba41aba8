package stack

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/stack/syntax"
)

// file is one file of a repository.
type file struct {
	*folder
	path string
	data []byte
	// starts are where lines begin, once somebody asked for one.
	starts []int
}

// maxLine bounds a line, in bytes. Longer ones are cut: no file that a person
// writes has them.
const maxLine = 4096

// line is one line of a file, without the space around it.
type line struct {
	no   int
	text string
}

// lines returns the lines of a file that say anything, without comments that
// begin with #.
func (f *file) lines() []line {
	var out []line
	for no, raw := range f.raw() {
		text := strings.TrimSpace(raw)
		if text != "" && text[0] != '#' {
			out = append(out, line{no + 1, text})
		}
	}
	return out
}

// raw returns all lines as they are, cut where they are too long.
func (f *file) raw() []string {
	data := bytes.TrimPrefix(f.data, []byte("\xef\xbb\xbf"))
	out := strings.Split(string(data), "\n")
	for i, l := range out {
		out[i] = l[:min(len(l), maxLine)]
	}
	return out
}

// at is the evidence of a line. Its text may be a secret in files of variables,
// which must not ask for it.
func (f *file) at(no int) Evidence {
	e := Evidence{File: f.path, Line: no}
	if f.starts == nil {
		f.starts = []int{0}
		for i, c := range f.data {
			if c == '\n' {
				f.starts = append(f.starts, i+1)
			}
		}
	}
	if no < 1 || no > len(f.starts) {
		return e
	}
	rest := f.data[f.starts[no-1]:]
	if no < len(f.starts) {
		rest = f.data[f.starts[no-1] : f.starts[no]-1]
	}
	e.Text = shown(string(rest[:min(len(rest), maxLine)]))
	return e
}

// whole is the evidence of a file as a whole.
func (f *folder) whole(name string) Evidence { return Evidence{File: f.path(name)} }

// tree reads a file in one of the syntaxes; what cannot be read is noted.
func (f *file) tree(read func([]byte) (*syntax.Node, error)) *syntax.Node {
	if f == nil {
		return nil
	}
	n, err := read(f.data)
	if err != nil {
		f.note(Evidence{File: f.path}, "it cannot be understood: %s", shown(err.Error()))
		return nil
	}
	return n
}

// need adds a wish for a package. Text that is no version is noted, and the wish
// stays without one.
func (f *file) need(family string, d constraint.Dialect, version string, w Weight, no int, because string) {
	if !packageWord.MatchString(family) {
		f.note(f.at(no), "%q is no name of a package", shown(family))
		return
	}
	c, err := constraint.Parse(d, version)
	if err != nil {
		f.note(f.at(no), "the version of %s is not understood: %s", family, shown(err.Error()))
	}
	f.needs(Need{Family: family, Constraint: c, Weight: w, Because: because, Evidence: f.at(no)})
}

// packageWord is what packages may be named.
var packageWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.+-]{0,63}$`)

func (s *scan) needs(n Need) {
	if len(s.report.Needs) < maxItems {
		s.report.Needs = append(s.report.Needs, n)
	}
}

// implied adds a wish without a version.
func (f *folder) implied(family, name, because string) {
	f.needs(Need{Family: family, Weight: Implied, Because: because, Evidence: f.whole(name)})
}

func (s *scan) service(v Service) {
	if len(s.report.Services) < maxItems {
		s.report.Services = append(s.report.Services, v)
	}
}

func (f *folder) step(command string, at Evidence) {
	if len(f.report.Steps) < maxItems {
		f.report.Steps = append(f.report.Steps, Step{Dir: f.dir, Command: command, Evidence: at})
	}
}

func (f *folder) script(name, command string, at Evidence) {
	if !f.root() {
		name = f.dir + ":" + name
	}
	command = strings.TrimSpace(command)
	if name = scriptName(name); name != "" && command != "" && len(f.report.Scripts) < maxItems {
		f.report.Scripts = append(f.report.Scripts, Script{Name: name, Dir: f.dir, Command: command, Evidence: at})
	}
}

// scriptName makes a name as manifests allow it: what else it has becomes a
// hyphen.
func scriptName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == ':', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, name)
	name = strings.TrimLeft(name, ":._-")
	return name[:min(len(name), 64)]
}

func (s *scan) port(name string, number int, w Weight, at Evidence) {
	if number > 0 && number < 1<<16 && len(s.report.Ports) < maxItems {
		s.report.Ports = append(s.report.Ports, Port{Name: name, Number: number, Weight: w, Evidence: at})
	}
}

func (s *scan) defined(tool string, at Evidence) {
	if len(s.report.Defined) < maxItems {
		s.report.Defined = append(s.report.Defined, Defined{Tool: tool, Evidence: at})
	}
}

// shown is foreign text on one line, printable and short.
func shown(s string) string {
	const most = 120
	s = strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return s
}

// command is a foreign command as it stands, or "" where it is not one printable
// line that a person would write.
func command(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 1000 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return s
}

// word reports whether a word is in a list.
func word(s string, words ...string) bool { return slices.Contains(words, s) }
