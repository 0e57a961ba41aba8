package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	xterm "golang.org/x/term"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/textmerge"
)

// resolveFlags are what the verbs take that may meet conflicts.
type resolveFlags struct {
	Ours   bool     `xor:"side" help:"In conflicts, take what the environment has."`
	Theirs bool     `xor:"side" help:"In conflicts, take what is merged into it."`
	Take   []string `sep:"none" placeholder:"KEY=ours|theirs|VALUE" help:"Decide about one key."`
	// Resolved are files of a flake as they should be.
	Resolved []string `sep:"none" placeholder:"[NAME=]FILE" help:"A file of the environment's flake as it should be, where both changed it: NAME is its path there, flake.nix unless it is said."`
}

func (f *resolveFlags) resolutions() (client.Resolutions, error) {
	var r client.Resolutions
	switch {
	case f.Ours:
		r.Prefer = "OURS"
	case f.Theirs:
		r.Prefer = "THEIRS"
	}
	for _, t := range f.Take {
		// Keys may be quoted and have = in them; the value begins after the last part.
		key, value, ok := cutKey(t)
		if !ok {
			return r, nixspace.Errorf(nixspace.KindInvalid, "resolution_invalid", "%q decides nothing", t).
				WithHint("write KEY=ours, KEY=theirs or KEY=VALUE: packages.postgresql=theirs")
		}
		r.Takes = append(r.Takes, resolution(key, value))
	}
	for _, arg := range f.Resolved {
		take, err := resolvedFile(arg)
		if err != nil {
			return r, err
		}
		r.Takes = append(r.Takes, take)
	}
	return r, nil
}

// resolvedFile reads a text that was resolved by hand.
func resolvedFile(arg string) (client.Resolution, error) {
	name, file, ok := strings.Cut(arg, "=")
	if !ok {
		name, file = "flake.nix", arg
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return client.Resolution{}, nixspace.Errorf(nixspace.KindInvalid, "file_unreadable", "%s cannot be read: %w", file, err)
	}
	if textmerge.HasMarkers(string(b)) {
		return client.Resolution{}, nixspace.Errorf(nixspace.KindInvalid, "resolution_invalid", "%s still has conflict markers", file).
			WithHint("keep what should be there, and remove the lines that begin with <<<<<<<, |||||||, ======= and >>>>>>>")
	}
	return client.Resolution{Path: manifest.FilePath(name), Take: "VALUE", Value: manifest.Text(string(b))}, nil
}

// cutKey cuts at the first = that stands in no quotes.
func cutKey(s string) (key, value string, ok bool) {
	quoted := false
	for i, c := range s {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '=' && !quoted:
			key = strings.TrimSpace(s[:i])
			return key, s[i+1:], key != ""
		}
	}
	return "", "", false
}

func resolution(key, value string) client.Resolution {
	switch value {
	case "ours":
		return client.Resolution{Path: key, Take: "OURS"}
	case "theirs":
		return client.Resolution{Path: key, Take: "THEIRS"}
	}
	return client.Resolution{Path: key, Take: "VALUE", Value: value}
}

// ask tries until there are no conflicts: on a terminal it asks how to resolve
// them, elsewhere it tries once.
func (f *resolveFlags) ask(g *globals, std streams, r *client.Resolutions, try func() ([]client.Conflict, error)) error {
	in, ok := std.In.(*os.File)
	terminal := ok && xterm.IsTerminal(int(in.Fd())) && !g.JSON
	for {
		conflicts, err := try()
		if err != nil || len(conflicts) == 0 || !terminal {
			return err
		}
		takes, err := askConflicts(std.In, std.Err, conflicts)
		if err != nil {
			return err
		}
		if len(takes) == 0 {
			return nil
		}
		r.Takes = append(r.Takes, takes...)
	}
}

// askConflicts asks about each conflict that a decision can resolve.
func askConflicts(in io.Reader, out io.Writer, conflicts []client.Conflict) ([]client.Resolution, error) {
	lines := bufio.NewScanner(in)
	var takes []client.Resolution
	for i, c := range conflicts {
		if c.Kind == "invalid" {
			continue
		}
		fmt.Fprintf(out, "conflict %d of %d\n", i+1, len(conflicts))
		printConflicts(out, conflicts[i:i+1])
		take, err := askOne(lines, out, c)
		if err != nil {
			return nil, err
		}
		takes = append(takes, take)
	}
	return takes, nil
}

var errAborted = nixspace.Errorf(nixspace.KindCanceled, "aborted", "nothing was changed")

func askOne(lines *bufio.Scanner, out io.Writer, c client.Conflict) (client.Resolution, error) {
	for {
		if c.Kind == "text" {
			fmt.Fprint(out, "[o]urs, [t]heirs or [q]uit (and give the text as it should be with --resolved)? ")
		} else {
			fmt.Fprint(out, "[o]urs, [t]heirs, a [v]alue or [q]uit? ")
		}
		if !lines.Scan() {
			return client.Resolution{}, errAborted
		}
		switch strings.ToLower(strings.TrimSpace(lines.Text())) {
		case "o", "ours":
			return resolution(c.Path, "ours"), nil
		case "t", "theirs":
			return resolution(c.Path, "theirs"), nil
		case "q", "quit":
			return client.Resolution{}, errAborted
		case "v", "value":
			if c.Kind == "text" {
				continue
			}
			fmt.Fprintf(out, "%s = ", term.Clean(c.Path))
			if !lines.Scan() {
				return client.Resolution{}, errAborted
			}
			return client.Resolution{Path: c.Path, Take: "VALUE", Value: strings.TrimSpace(lines.Text())}, nil
		}
	}
}

// printConflicts shows conflicts as people read them.
func printConflicts(w io.Writer, conflicts []client.Conflict) {
	value := func(s string) string {
		if s == "" {
			return "(none)"
		}
		return term.Clean(strings.ReplaceAll(s, "\n", "⏎"))
	}
	for _, c := range conflicts {
		if c.Kind == "text" {
			fmt.Fprintf(w, "  ! %s: both changed the same lines\n", term.Clean(c.Path))
			for line := range strings.Lines(c.Merged) {
				fmt.Fprintf(w, "      %s\n", term.Clean(strings.TrimSuffix(line, "\n")))
			}
			continue
		}
		if c.Kind == "invalid" {
			fmt.Fprintf(w, "  ! together they are not valid: %s\n", term.Clean(c.Reason))
			continue
		}
		fmt.Fprintf(w, "  ! %s\n      base    %s\n      ours    %s\n      theirs  %s\n", term.Clean(c.Path), value(c.Base), value(c.Ours), value(c.Theirs))
	}
}

// refuse prints conflicts and returns the error that they are.
func (f *resolveFlags) refuse(g *globals, std streams, result any, conflicts []client.Conflict) error {
	if g.JSON {
		if err := printJSON(std.Out, map[string]any{"merge": result}); err != nil {
			return err
		}
	} else {
		printConflicts(std.Out, conflicts)
	}
	if conflicts[0].Kind == "text" {
		return nixspace.Errorf(nixspace.KindConflict, "merge_conflicts", "%d conflicts, so nothing was changed", len(conflicts)).
			WithHint("write the text as it should be into a file and give it with --resolved FILE, or take a side in every conflict with --ours or --theirs")
	}
	example := conflicts[0].Path
	if example == "" {
		example = "KEY"
	}
	return nixspace.Errorf(nixspace.KindConflict, "merge_conflicts", "%d conflicts, so nothing was changed", len(conflicts)).
		WithHint("decide with --take %s=theirs (or ours, or a value), or for all with --ours or --theirs", example)
}
