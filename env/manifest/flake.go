package manifest

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/textmerge"
)

// Flake is the [flake] table: a flake that a user brought. It is the environment, and
// the rest of the manifest comes on top of it.
type Flake struct {
	// Files are its texts by path. "flake.nix" is among them, and "flake.lock" once
	// its inputs are locked.
	Files map[string]string
	// Inputs replaces inputs of the flake, by name; by "catalog" only.
	Inputs map[string]string
}

// The bounds of a flake.
const (
	maxFlakeFiles = 200
	maxFlakeText  = 384 << 10
)

// User returns the flake as something to evaluate; nil where there is none.
func (m *Manifest) User() *nixspace.UserFlake {
	if m.Flake == nil {
		return nil
	}
	return &nixspace.UserFlake{Files: m.Flake.Files, Overrides: m.Flake.Inputs}
}

// CanonicalFlake is what a user's flake came to. Its texts are no part of the
// identity: what they mean is.
type CanonicalFlake struct {
	Attr     string             `json:"attr"`
	Packages []CanonicalProgram `json:"packages"` // in the order of PATH
	Env      map[string]string  `json:"env,omitempty"`
	Uses     []string           `json:"uses,omitempty"`    // store paths that the variables name
	Skipped  []string           `json:"skipped,omitempty"` // variables that could not be taken over
}

// CanonicalProgram is one package of a user's flake.
type CanonicalProgram struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Path    string `json:"path"`
}

// FlakeOf returns the canonical form of what a flake came to.
func FlakeOf(out *nixspace.FlakeOutput) *CanonicalFlake {
	c := &CanonicalFlake{Attr: out.Attr, Packages: []CanonicalProgram{}, Env: out.Env, Skipped: out.Skipped}
	for _, p := range out.Packages {
		c.Packages = append(c.Packages, CanonicalProgram{Name: p.Name, Version: p.Version, Path: p.OutPath})
	}
	for _, p := range out.Uses {
		c.Uses = append(c.Uses, p.OutPath)
	}
	slices.Sort(c.Uses)
	return c
}

// Named returns the packages by a name of their own: two of the same name get a
// number.
func (c *CanonicalFlake) Named() map[string]CanonicalProgram {
	out := map[string]CanonicalProgram{}
	if c == nil {
		return out
	}
	for _, p := range c.Packages {
		name := p.Name
		for i := 2; out[name].Path != ""; i++ {
			name = fmt.Sprintf("%s-%d", p.Name, i)
		}
		out[name] = p
	}
	return out
}

// FilePath is the path of a file of the flake in a manifest: flake.files."flake.nix".
func FilePath(name string) string { return dotted([]string{"flake", "files", name}) }

// InputPath is the path of an input of the flake in a manifest: flake.inputs.nixpkgs.
func InputPath(name string) string { return dotted([]string{"flake", "inputs", name}) }

// WithFlake adds a flake to the text of a manifest that has none.
func WithFlake(text string, f Flake) (string, error) {
	m, err := Parse(FileName, []byte(text))
	if err != nil {
		return "", err
	}
	if m.Flake != nil {
		return "", nixspace.Errorf(nixspace.KindInvalid, codeInvalid, "%s has a [flake] of its own", FileName).
			WithHint("remove it, or do without the other flake")
	}
	var b strings.Builder
	if text = strings.TrimRight(text, "\n"); text != "" {
		b.WriteString(text + "\n\n")
	}
	table := func(name string, values map[string]string, write func(string) string) {
		if len(values) == 0 {
			return
		}
		b.WriteString("[flake." + name + "]\n")
		for _, k := range sorted(values) {
			b.WriteString(dotted([]string{k}) + " = " + write(values[k]) + "\n")
		}
	}
	table("inputs", f.Inputs, tomlString)
	if len(f.Inputs) > 0 {
		b.WriteString("\n")
	}
	table("files", f.Files, Text)
	if _, err := Parse(FileName, []byte(b.String())); err != nil {
		return "", err
	}
	return b.String(), nil
}

// Text writes a text as a TOML value that keeps its lines.
func Text(s string) string {
	if !strings.Contains(s, "\n") {
		return tomlString(s)
	}
	var b strings.Builder
	b.WriteString("\"\"\"\n")
	quotes := 0 // that stand as they are, before this place
	for i, r := range s {
		switch {
		case r == '"' && (quotes > 0 || i == len(s)-1): // three would be the end
			b.WriteString(`\"`)
			quotes = 0
			continue
		case r == '"':
			b.WriteByte('"')
			quotes++
			continue
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		default:
			quoted := tomlString(string(r))
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		quotes = 0
	}
	b.WriteString(`"""`)
	return b.String()
}

func (d *decoder) flake(at []string, v any) *Flake {
	f := &Flake{}
	for k, v := range d.table(at, v, 2) {
		p := below(at, k)
		switch k {
		case "files":
			f.Files = d.flakeFiles(p, v)
		case "inputs":
			f.Inputs = map[string]string{}
			for name, v := range d.table(p, v, maxEntries) {
				s, ok := d.text(below(p, name), v)
				if ok && s != string(Catalog) {
					d.at(below(p, name), false, `write "catalog"`, "%s cannot take the place of an input", quote(s))
				}
				f.Inputs[name] = s
			}
		default:
			d.unknown(p, "", []string{"files", "inputs"})
		}
	}
	if _, ok := f.Files["flake.nix"]; !ok {
		d.at(at, true, `add "flake.nix" to [flake.files]`, "there is no flake.nix in it")
	}
	return f
}

func (d *decoder) flakeFiles(at []string, v any) map[string]string {
	out := map[string]string{}
	total := 0
	for name, v := range d.table(at, v, maxFlakeFiles) {
		p := below(at, name)
		if name == "" || len(name) > 255 || path.Clean(name) != name || path.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../") || strings.ContainsAny(name, "\\\n") {
			d.at(p, true, "", "%s cannot be the path of a file in a flake", quote(name))
			continue
		}
		s, ok := d.text(p, v)
		if !ok {
			continue
		}
		out[name] = s
		total += len(s)
	}
	if total > maxFlakeText {
		d.at(at, true, "", "the files of the flake have %d bytes, of %d allowed", total, maxFlakeText)
	}
	return out
}

// flakeLeaves are the leaves of the [flake] table.
func flakeLeaves(f *Flake) []leaf {
	if f == nil {
		return nil
	}
	var out []leaf
	for _, k := range sorted(f.Inputs) {
		out = append(out, leaf{[]string{"flake", "inputs", k}, f.Inputs[k]})
	}
	for _, k := range sorted(f.Files) {
		out = append(out, leaf{[]string{"flake", "files", k}, f.Files[k]})
	}
	return out
}

// isFile reports whether a path is that of a file of the flake.
func isFile(path []string) bool {
	return len(path) == 3 && path[0] == "flake" && path[1] == "files"
}

// lineCount shows a text by how long it is.
func lineCount(s string) string {
	n := strings.Count(s, "\n")
	if !strings.HasSuffix(s, "\n") && s != "" {
		n++
	}
	if n == 1 {
		return "1 line"
	}
	return fmt.Sprintf("%d lines", n)
}

// diffFlake compares flakes by their files, and by what they came to.
func diffFlake(a, b *Resolved) []nixspace.Change {
	var out []nixspace.Change
	add := func(path, from, to string, was, is bool) {
		op := nixspace.ChangeSet
		switch {
		case !was:
			op, from = nixspace.ChangeAdd, ""
		case !is:
			op, to = nixspace.ChangeRemove, ""
		}
		out = append(out, nixspace.Change{Op: op, Path: path, From: from, To: to})
	}
	from, to := filesOf(a), filesOf(b)
	for _, name := range names(from, to) {
		old, was := from[name]
		now, is := to[name]
		if was && is && old == now {
			continue
		}
		text := lineCount(now)
		if was && is {
			added, removed := textmerge.Count(old, now)
			text += fmt.Sprintf(" (+%d −%d)", added, removed)
		}
		add(FilePath(name), lineCount(old), text, was, is)
	}
	was, is := programsOf(a), programsOf(b)
	for _, name := range names(was, is) {
		old, before := was[name]
		now, after := is[name]
		if before && after && old == now {
			continue
		}
		x, y := old.display(), now.display()
		if x == y {
			x, y = x+" "+storeHash(old.Path), y+" "+storeHash(now.Path)
		}
		add(dotted([]string{"flake", "packages", name}), x, y, before, after)
	}
	x, y := flakeEnv(a), flakeEnv(b)
	for _, name := range names(x, y) {
		old, before := x[name]
		now, after := y[name]
		if !before || !after || old != now {
			add(dotted([]string{"flake", "env", name}), old, now, before, after)
		}
	}
	return out
}

func (p CanonicalProgram) display() string {
	if p.Version == "" {
		return "present"
	}
	return p.Version
}

func filesOf(r *Resolved) map[string]string {
	if r == nil || r.Manifest.Flake == nil {
		return nil
	}
	return r.Manifest.Flake.Files
}

func programsOf(r *Resolved) map[string]CanonicalProgram {
	if r == nil {
		return nil
	}
	return r.Flake.Named()
}

func flakeEnv(r *Resolved) map[string]string {
	if r == nil || r.Flake == nil {
		return nil
	}
	return r.Flake.Env
}

func names[V any](a, b map[string]V) []string {
	all := sorted(a)
	for k := range b {
		if _, ok := a[k]; !ok {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all
}

// text merges a file of the flake that both sides changed, line by line.
func (m *Merged) text(path string, base, ours, theirs string, prefer Side) {
	side := textmerge.Neither
	switch prefer {
	case Ours:
		side = textmerge.Ours
	case Theirs:
		side = textmerge.Theirs
	}
	r := textmerge.Merge(base, ours, theirs, side)
	if r.Conflicts == 0 {
		if r.Text != ours {
			m.Edits = append(m.Edits, Edit{Op: nixspace.ChangeSet, Key: path, Value: Text(r.Text)})
		}
		return
	}
	m.Conflicts = append(m.Conflicts, Conflict{
		Kind: ConflictText, Path: path, Base: lineCount(base), Ours: lineCount(ours), Theirs: lineCount(theirs), Merged: r.Text,
	})
}
