package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/suggest"
)

type suggestCmd struct {
	What   string `arg:"" optional:"" default:"." help:"An environment or version, or a folder with a nixspace.toml (., ./shop, /src/shop)."`
	Apply  string `placeholder:"N" help:"Carry out this suggestion, by its number or its name."`
	Branch string `placeholder:"NAME" help:"The branch in which to do it, for an environment."`
	Detach bool   `short:"d" help:"Do not wait for the build of the branch."`
}

// Help says more than one line about the verb.
func (*suggestCmd) Help() string {
	return "It looks at the environment and at what its code says, and shows versions that get no fixes any more, versions that are left open or that the code asks otherwise, " +
		"services and packages that are missing, and packages that nothing uses, each with its evidence and the change that would do.\n\n" +
		"Examples: nixspace suggest shop; nixspace suggest shop --apply 1 --branch node-24; nixspace suggest . --apply 2"
}

// Run shows suggestions, or carries one out.
func (c *suggestCmd) Run(ctx context.Context, g *globals, std streams) error {
	if isFolder(c.What) {
		return c.folder(ctx, g, std)
	}
	if c.Branch != "" {
		if err := nixspace.CheckName("an environment", c.Branch); err != nil {
			return err
		}
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	all, err := api.Suggestions(ctx, c.What)
	if err != nil {
		return err
	}
	if c.Apply == "" {
		return c.print(g, std.Out, all, "nixspace suggest "+c.What+" --apply N --branch NAME")
	}
	s, err := pickSuggestion(all, c.Apply)
	if err != nil {
		return err
	}
	if c.Branch == "" {
		return nixspace.Errorf(nixspace.KindInvalid, "branch_missing", "a suggestion for an environment is carried out in a branch").
			WithHint("name it with --branch NAME")
	}
	d := g.display(std)
	defer d.Close()
	begin := time.Now()
	environment, build, err := api.Branch(ctx, c.What, c.Branch, s.Edits, "As suggested: "+s.Message)
	if err != nil {
		return err
	}
	if !c.Detach {
		if build, err = followBuild(ctx, api, d, build, false); err != nil {
			return err
		}
	}
	d.Close()
	if g.JSON {
		return printJSON(std.Out, map[string]any{"suggestion": s, "environment": environment, "build": build})
	}
	for _, ch := range environment.Head.Changes {
		fmt.Fprintln(std.Out, " ", term.Clean(changeLine(ch)))
	}
	return printReady(std.Out, environment.Ref, environment.Head.Hash, build, time.Since(begin))
}

// folder does the same for a folder, where a suggestion changes the file.
func (c *suggestCmd) folder(ctx context.Context, g *globals, std streams) error {
	if c.Branch != "" {
		return nixspace.Errorf(nixspace.KindInvalid, "branch_invalid", "a suggestion for a folder changes its %s, in no branch", manifest.FileName).
			WithHint("leave --branch away")
	}
	text, m, err := readManifest(c.What)
	if err != nil {
		return err
	}
	r, offers, err := g.resolveDir(ctx, m)
	if err != nil {
		return err
	}
	report, err := detectDir(c.What)
	if err != nil {
		return err
	}
	name, err := sourceName(c.What)
	if err != nil {
		return err
	}
	found, err := suggest.For(suggest.Input{Resolved: r, Code: &report, Offers: offers, Name: name, Now: time.Now()})
	if err != nil {
		return err
	}
	all := make([]client.Suggestion, len(found))
	for i, s := range found {
		all[i] = client.Suggestion{Number: i + 1, Key: s.Key, Kind: string(s.Kind), Path: s.Path, Message: s.Message, Evidence: s.Evidence}
		for _, e := range s.Edits {
			all[i].Edits = append(all[i].Edits, client.Edit{Op: strings.ToUpper(string(e.Op)), Key: e.Key, Value: e.Value})
		}
	}
	if c.Apply == "" {
		return c.print(g, std.Out, all, "nixspace suggest "+c.What+" --apply N")
	}
	s, err := pickSuggestion(all, c.Apply)
	if err != nil {
		return err
	}
	if text, err = manifest.Apply(text, manifestEdits(s.Edits)); err != nil {
		return err
	}
	file := filepath.Join(c.What, manifest.FileName)
	if err := writeText(file, text); err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"suggestion": s, "file": file})
	}
	for _, e := range s.Edits {
		fmt.Fprintln(std.Out, " ", editLine(e))
	}
	fmt.Fprintln(std.Out, file)
	return nil
}

// pickSuggestion finds a suggestion by its number or its key.
func pickSuggestion(all []client.Suggestion, which string) (client.Suggestion, error) {
	n, err := strconv.Atoi(which)
	for _, s := range all {
		if err == nil && s.Number != n || err != nil && s.Key != which {
			continue
		}
		if len(s.Edits) == 0 {
			return s, nixspace.Errorf(nixspace.KindInvalid, "suggestion_undecided", "suggestion %s is for a person to decide: %s", which, s.Message)
		}
		return s, nil
	}
	return client.Suggestion{}, nixspace.Errorf(nixspace.KindNotFound, "suggestion_unknown", "there is no suggestion %s, of %d", which, len(all)).
		WithHint("list them without --apply; they change with the environment")
}

// kindWords are the kinds as people read them.
var kindWords = map[string]string{
	"end_of_life": "end of life", "conflict": "conflict", "disagreement": "disagreement", "missing_service": "missing", "missing_package": "missing",
	"ends_soon": "ends soon", "unpinned": "left open", "unused": "unused", "smaller": "smaller",
}

func (c *suggestCmd) print(g *globals, w io.Writer, all []client.Suggestion, apply string) error {
	if g.JSON {
		if all == nil {
			all = []client.Suggestion{}
		}
		return printJSON(w, map[string]any{"suggestions": all})
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "there is nothing to suggest")
		return err
	}
	paint := term.PaintFor(w, os.Getenv)
	applicable := false
	for _, s := range all {
		fmt.Fprintf(w, "%2d  %s: %s\n", s.Number, paint.Bold(kindWords[s.Kind]), term.Clean(plain(s.Message)))
		for _, e := range s.Evidence {
			fmt.Fprintf(w, "    %s\n", paint.Faint(term.Clean(plain(e))))
		}
		for _, e := range s.Edits {
			applicable = true
			fmt.Fprintf(w, "    %s\n", term.Clean(editLine(e)))
		}
	}
	if applicable {
		fmt.Fprintf(w, "carry one out: %s\n", apply)
	}
	return nil
}

// editLine is an edit as people read it.
func editLine(e client.Edit) string {
	switch e.Op {
	case "REMOVE":
		return "- " + e.Key
	case "ADD":
		return strings.TrimSpace("+ " + e.Key + " " + e.Value)
	}
	return "~ " + e.Key + " = " + e.Value
}
