package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"
)

// query is what the editor looks for, and where.
type query struct {
	Path    string   `json:"path"`
	Pattern string   `json:"pattern"`
	Regexp  bool     `json:"regexp"`
	Case    bool     `json:"case"`
	Word    bool     `json:"word"`
	Include []string `json:"include"`
	Exclude []string `json:"exclude"`
	Ignored bool     `json:"ignored"` // also what git ignores
	Max     int      `json:"max"`
}

const (
	resultsMax = 20_000
	walkMax    = 500_000 // files that are looked at
	batchSize  = 500
)

// heavy are folders that nobody means, where git does not say what to leave out.
var heavy = []string{".git", ".hg", ".svn", "node_modules", ".direnv", "__pycache__", ".venv"}

func readQuery(args []string) (query, error) {
	var q query
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &q) != nil || !filepath.IsAbs(q.Path) {
		return q, errors.New("the query cannot be read")
	}
	if q.Max <= 0 || q.Max > resultsMax {
		q.Max = resultsMax
	}
	for _, p := range slices.Concat(q.Include, q.Exclude) {
		if !doublestar.ValidatePattern(p) {
			return q, errors.New("the pattern " + p + " makes no sense")
		}
	}
	return q, nil
}

// find prints, in lists of JSON, the files whose names have the letters of the
// pattern in their order.
func find(args []string) error {
	q, err := readQuery(args)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	var batch []string
	n := 0
	err = q.files(func(name string) error {
		if !lettersOf(q.Pattern, name) {
			return nil
		}
		batch = append(batch, name)
		if n++; n >= q.Max {
			return fs.SkipAll
		}
		if len(batch) < batchSize {
			return nil
		}
		defer func() { batch = nil }()
		return out.Encode(batch)
	})
	if err == nil && len(batch) > 0 {
		err = out.Encode(batch)
	}
	return err
}

// lettersOf reports whether the letters of pattern appear in name, in their order.
func lettersOf(pattern, name string) bool {
	rest := []rune(strings.ToLower(name))
	for _, r := range strings.ToLower(pattern) {
		if unicode.IsSpace(r) || r == '\\' || r == '*' {
			continue
		}
		i := slices.Index(rest, r)
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
	return true
}

// files calls f with the name of each file that the query is about, until f returns
// an error; fs.SkipAll ends it without one.
func (q query) files(f func(name string) error) error {
	visit := func(name string) error {
		if !q.wants(name) {
			return nil
		}
		return f(name)
	}
	var err error
	if names, ok := q.fromGit(); ok {
		for name := range bytes.SplitSeq(names, []byte{0}) {
			if len(name) == 0 {
				continue
			}
			if err = visit(string(name)); err != nil {
				break
			}
		}
	} else {
		err = q.walk(visit)
	}
	if errors.Is(err, fs.SkipAll) {
		return nil
	}
	return err
}

// fromGit returns what git takes for files of the folder, if there is git and it is in
// a repository.
func (q query) fromGit() ([]byte, bool) {
	if q.Ignored {
		return nil, false
	}
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = q.Path
	out, err := cmd.Output()
	return out, err == nil
}

func (q query) walk(visit func(name string) error) error {
	n := 0
	return filepath.WalkDir(q.Path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // what cannot be read is not found
		}
		if n++; n > walkMax {
			return fs.SkipAll
		}
		name, err := filepath.Rel(q.Path, p)
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() {
			if !q.Ignored && slices.Contains(heavy, d.Name()) || q.excludes(name) || d.Name() == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		return visit(name)
	})
}

func (q query) wants(name string) bool {
	if len(q.Include) > 0 && !matches(q.Include, name) {
		return false
	}
	for p := name; p != "."; p = path.Dir(p) {
		if q.excludes(p) {
			return false
		}
	}
	return true
}

func (q query) excludes(name string) bool { return matches(q.Exclude, name) }

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return doublestar.MatchUnvalidated(p, name) })
}
