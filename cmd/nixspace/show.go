package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type showCmd struct {
	Ref      string `arg:"" help:"An environment, a version (shop~2, a tag, at least 6 digits of its hash) or a session (shop/1)."`
	Manifest bool   `xor:"part" help:"Print its nixspace.toml and nothing else."`
	Flake    bool   `xor:"part" help:"Print its flake.nix and nothing else."`
	Lock     bool   `xor:"part" help:"Print its flake.lock and nothing else."`
}

var sessionRef = regexp.MustCompile(`/[0-9]+$`)

// Run shows one thing.
func (c *showCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	if sessionRef.MatchString(c.Ref) {
		return c.session(ctx, api, g, std)
	}
	if strings.ContainsAny(c.Ref, "~^@") {
		v, err := api.Version(ctx, c.Ref)
		if err != nil {
			return err
		}
		return c.version(g, std, v)
	}
	e, err := api.Environment(ctx, c.Ref)
	if err == nil {
		if done, err := c.part(std.Out, &e.Head); done {
			return err
		}
		setup, err := api.Preparation(ctx, c.Ref)
		if err != nil {
			return err
		}
		if g.JSON {
			return printJSON(std.Out, map[string]any{"environment": e, "preparation": setup})
		}
		return printEnvironment(std.Out, e, setup)
	}
	if nixspace.ErrorKind(err) != nixspace.KindNotFound {
		return err
	}
	v, verr := api.Version(ctx, c.Ref)
	switch {
	case verr == nil:
		return c.version(g, std, v)
	case nixspace.ID(c.Ref).Valid():
		return c.session(ctx, api, g, std)
	case nixspace.ErrorKind(verr) == nixspace.KindNotFound, nixspace.ErrorKind(verr) == nixspace.KindInvalid:
		return err // the reference looked like an environment's
	}
	return verr
}

func (c *showCmd) version(g *globals, std streams, v *client.Version) error {
	if done, err := c.part(std.Out, v); done {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"version": v})
	}
	return printVersion(std.Out, v)
}

// part prints one file of a version, if one was asked for.
func (c *showCmd) part(w io.Writer, v *client.Version) (bool, error) {
	var text string
	switch {
	case c.Manifest:
		text = v.Manifest
	case c.Flake:
		text = v.Flake
	case c.Lock:
		text = v.FlakeLock
	default:
		return false, nil
	}
	_, err := io.WriteString(w, text)
	return true, err
}

func (c *showCmd) session(ctx context.Context, api *client.Client, g *globals, std streams) error {
	s, err := api.Session(ctx, c.Ref)
	if err != nil {
		return err
	}
	if s.Version != nil {
		if done, err := c.part(std.Out, s.Version); done {
			return err
		}
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"session": s})
	}
	return printSession(std.Out, s)
}

func printEnvironment(w io.Writer, e *client.Environment, setup *client.Preparation) error {
	fmt.Fprintf(w, "environment  %s\n", e.Ref)
	if e.Parent != nil {
		fmt.Fprintf(w, "branched of  %s\n", e.Parent.Ref)
	}
	if e.Protected {
		fmt.Fprintln(w, "protected    only merges change it")
	}
	printPreparation(w, e.Ref, setup)
	return printVersion(w, &e.Head)
}

func printVersion(w io.Writer, v *client.Version) error {
	fmt.Fprintf(w, "version      %s  (number %d, %s, by %s)\n", v.Hash, v.Seq, ago(v.CreatedAt), term.Clean(v.Author))
	if len(v.Parents) > 1 {
		fmt.Fprintf(w, "merge of     %s and %s\n", short(v.Parents[0]), short(v.Parents[1]))
	}
	if v.Message != "" {
		fmt.Fprintf(w, "message      %s\n", term.Clean(v.Message))
	}
	fmt.Fprintf(w, "manifest     %s\n", v.ManifestHash)
	if r := v.Realisation; r != nil {
		fmt.Fprintf(w, "built        %s\n", r.OutPath)
		fmt.Fprintf(w, "closure      %s  (%d paths, %s)\n", r.ClosureDigest, r.Paths, term.Bytes(r.ClosureSize))
	} else {
		fmt.Fprintln(w, "built        not yet")
	}
	if len(v.Packages) > 0 {
		fmt.Fprintln(w)
		rows := make([][]string, len(v.Packages))
		for i, p := range v.Packages {
			rows[i] = []string{p.Name, p.Constraint, p.Version, p.Attr}
		}
		if err := table(w, []string{"PACKAGE", "WANTED", "VERSION", "ATTRIBUTE"}, rows); err != nil {
			return err
		}
	}
	if len(v.Changes) > 0 {
		fmt.Fprintln(w, "\nchanges")
		for _, c := range v.Changes {
			fmt.Fprintln(w, " ", term.Clean(changeLine(c)))
		}
	}
	return nil
}

// activityLine says what is done in a session, or when that was.
func activityLine(a client.Activity) string {
	kind := strings.ToLower(a.Kind)
	if a.Open > 0 {
		return fmt.Sprintf("%s (%d open)", kind, a.Open)
	}
	return fmt.Sprintf("%s, %s", kind, ago(a.Last))
}

func printSession(w io.Writer, s *client.Session) error {
	fmt.Fprintf(w, "session      %s  (%s)\n", s.Ref, s.ID)
	fmt.Fprintf(w, "status       %s\n", term.Clean(sessionStatus(s)))
	if s.Version != nil {
		fmt.Fprintf(w, "version      %s\n", s.Version.Hash)
	}
	if p := s.Prebuilt; p != nil {
		fmt.Fprintf(w, "setup        %s\n", beganFrom(p))
	}
	switch {
	case s.Snapshot != nil && !s.Snapshot.Implicit:
		fmt.Fprintf(w, "began from   %s\n", s.Snapshot.Ref)
	case s.ForkOf != nil:
		fmt.Fprintf(w, "forked from  %s\n", s.ForkOf.Ref)
	}
	if s.Isolation != "" {
		fmt.Fprintf(w, "isolation    %s\n", term.Clean(s.Isolation))
	}
	if s.StartedAt != nil {
		fmt.Fprintf(w, "started      %s\n", ago(*s.StartedAt))
	}
	if s.HibernateAfter != nil {
		fmt.Fprintf(w, "when idle    hibernated after %s\n", time.Duration(*s.HibernateAfter)*time.Second)
	}
	for i, a := range s.Activity {
		name := ""
		if i == 0 {
			name = "activity"
		}
		fmt.Fprintf(w, "%-12s %s\n", name, activityLine(a))
	}
	m := s.Machine
	if m == nil {
		return nil
	}
	if m.Start != "" {
		fmt.Fprintf(w, "came up by   %s\n", m.Start)
	}
	if u := m.Usage; u != nil {
		fmt.Fprintf(w, "uses         %s of memory; %.1f s of processor time so far\n", term.Bytes(u.Memory), u.CPUSeconds)
	}
	if m.Fallback != "" {
		fmt.Fprintf(w, "and not from its snapshot: %s\n", term.Clean(m.Fallback))
	}
	if len(m.Services) > 0 {
		fmt.Fprintln(w)
		rows := make([][]string, len(m.Services))
		for i, v := range m.Services {
			rows[i] = []string{v.Name, v.State, fmt.Sprint(v.Restarts), v.Message}
		}
		if err := table(w, []string{"SERVICE", "STATE", "RESTARTS", "MESSAGE"}, rows); err != nil {
			return err
		}
	}
	if len(m.Layers) > 0 {
		fmt.Fprintln(w)
		rows := make([][]string, len(m.Layers))
		for i, l := range m.Layers {
			rows[i] = []string{l.Name, term.Bytes(l.Size), l.Digest}
		}
		return table(w, []string{"LAYER", "SIZE", "SHA-256"}, rows)
	}
	return nil
}

// beganFrom says what a session began from.
func beganFrom(p *client.BeganPrebuilt) string {
	of := short(p.Prebuild.Commit)
	if of == "" {
		of = short(p.Prebuild.Workspace)
	}
	if p.Earlier {
		return fmt.Sprintf("began from an earlier prebuild (of %s), with its code brought up to date; the setup has not run since", of)
	}
	return fmt.Sprintf("began prepared (%s)", of)
}
