package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type prebuildCmd struct {
	Run    prebuildRunCmd    `cmd:"" default:"withargs" help:"Run an environment's script setup over its code, for sessions to begin where that ended."`
	List   prebuildListCmd   `cmd:"" aliases:"ls" help:"List prebuilds."`
	Log    prebuildLogCmd    `cmd:"" help:"Print what the setup printed."`
	Cancel prebuildCancelCmd `cmd:"" help:"Stop prebuilds."`
	Rm     prebuildRmCmd     `cmd:"" help:"Delete prebuilds, with their snapshots."`
}

type prebuildRunCmd struct {
	Ref    string `arg:"" help:"An environment or version."`
	Again  bool   `help:"Also where there is a good one: make it anew. Sessions begin from the old one until then."`
	Detach bool   `short:"d" help:"Do not wait until it has ended."`
}

// Help says more than one line about the verb.
func (*prebuildRunCmd) Help() string {
	return "The script setup of the manifest (npm ci, pip install, go mod download…) runs in a machine of its own, with what the environment may reach " +
		"outside of itself. What it comes to is kept, for this code and this manifest, and new sessions begin from it. A session that is started while " +
		"there is none begins from the last good one of the project, with its code brought up to date, and one for the next time is made meanwhile."
}

// Run prepares an environment's code.
func (c *prebuildRunCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	defer d.Close()
	begin := time.Now()
	p, err := api.RequestPrebuild(ctx, c.Ref, c.Again)
	if err != nil {
		return err
	}
	was := p.Final()
	if !c.Detach {
		if p, err = followPrebuild(ctx, api, d, p, true); err != nil {
			return err
		}
	}
	d.Close()
	switch {
	case g.JSON:
		return printJSON(std.Out, map[string]any{"prebuild": p})
	case was:
		_, err = fmt.Fprintf(std.Out, "prebuild of %s  there already, %s  (nixspace prebuild %s --again makes it anew)\n", p.Environment, ago(p.CreatedAt), c.Ref)
	case c.Detach:
		_, err = fmt.Fprintf(std.Out, "prebuild of %s  %s\n", p.Environment, p.Status)
	default:
		_, err = fmt.Fprintf(std.Out, "prebuild of %s  ready in %s\n", p.Environment, term.Duration(time.Since(begin)))
	}
	return err
}

// followPrebuild shows a prebuild until it is final, and returns it. One that did not
// succeed is an error.
func followPrebuild(ctx context.Context, c *client.Client, d *term.Display, p *client.Prebuild, showLog bool) (*client.Prebuild, error) {
	last := p
	log := logView{d: d, whole: showLog}
	if !p.Final() {
		err := c.WatchPrebuild(ctx, p.ID, func(u client.PrebuildUpdate) error {
			switch {
			case u.Prebuild != nil:
				last = u.Prebuild
			case u.Progress != nil:
				d.Report(*u.Progress)
			case u.Line != nil:
				log.line(u.Line.Text)
			}
			return nil
		})
		d.Forget(nixspace.SetupScript)
		if err != nil {
			return last, err
		}
	}
	if last.Is(nixspace.BuildSucceeded) {
		return last, nil
	}
	if !last.Final() {
		return last, nixspace.Errorf(nixspace.KindUnavailable, "prebuild_lost", "the server told no end of the prebuild").WithHint("ask again: nixspace prebuild %s", last.Environment)
	}
	if last.Is(nixspace.BuildFailed) {
		log.end("the setup's log")
	}
	code, message := last.ErrorCode, term.Clean(last.Error)
	if code == "" {
		code = "prebuild_" + string(last.Status)
	}
	kind := nixspace.KindBuild
	if last.Is(nixspace.BuildCanceled) {
		kind = nixspace.KindCanceled
	}
	return last, nixspace.Errorf(kind, code, "the setup of %s is not prepared: %s", last.Environment, message).
		WithHint("sessions of it start all the same; see what it printed with nixspace prebuild log %s, and try again with nixspace prebuild %s", last.Environment, last.Environment)
}

type prebuildListCmd struct {
	Of string `arg:"" optional:"" help:"Only those of this environment."`
}

// Run lists prebuilds.
func (c *prebuildListCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	list, err := api.Prebuilds(ctx, c.Of)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"prebuilds": list})
	}
	rows := make([][]string, len(list))
	for i, p := range list {
		code := short(p.Commit)
		if code == "" {
			code = short(p.Workspace)
		}
		took := ""
		if p.StartedAt != nil && p.FinishedAt != nil {
			took = term.Duration(p.FinishedAt.Sub(*p.StartedAt))
		}
		rows[i] = []string{p.Environment, code, string(p.Status), took, ago(p.CreatedAt), string(p.ID)}
	}
	return table(std.Out, []string{"ENVIRONMENT", "CODE", "STATUS", "TOOK", "ASKED FOR", "ID"}, rows)
}

type prebuildLogCmd struct {
	Ref string `arg:"" help:"An environment, for its newest prebuild, or the ID of one."`
}

// Run prints the log of a prebuild.
func (c *prebuildLogCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	id, err := prebuildOf(ctx, api, c.Ref)
	if err != nil {
		return err
	}
	lines, err := api.PrebuildLog(ctx, id)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"prebuild": id, "log": lines})
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(std.Out, term.Clean(l.Text)); err != nil {
			return err
		}
	}
	return nil
}

// prebuildOf returns the ID of a prebuild: the one that is given, or the newest of an
// environment.
func prebuildOf(ctx context.Context, api *client.Client, ref string) (nixspace.ID, error) {
	if nixspace.ID(ref).Valid() {
		return nixspace.ID(ref), nil
	}
	list, err := api.Prebuilds(ctx, ref)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", nixspace.Errorf(nixspace.KindNotFound, "prebuild_unknown", "there is no prebuild of %s", ref).WithHint("make one: nixspace prebuild %s", ref)
	}
	return list[0].ID, nil
}

type prebuildCancelCmd struct {
	Prebuilds []string `arg:"" name:"prebuild" help:"IDs, or environments, for their newest."`
}

// Run stops prebuilds.
func (c *prebuildCancelCmd) Run(ctx context.Context, g *globals, std streams) error {
	return eachPrebuild(ctx, g, std, c.Prebuilds, (*client.Client).CancelPrebuild, func(p *client.Prebuild) string { return string(p.Status) })
}

type prebuildRmCmd struct {
	Prebuilds []string `arg:"" name:"prebuild" help:"IDs, or environments, for their newest."`
}

// Run deletes prebuilds.
func (c *prebuildRmCmd) Run(ctx context.Context, g *globals, std streams) error {
	return eachPrebuild(ctx, g, std, c.Prebuilds, (*client.Client).RemovePrebuild, func(*client.Prebuild) string { return "removed" })
}

// eachPrebuild does something with prebuilds, also after one failed, and returns the
// first error.
func eachPrebuild(ctx context.Context, g *globals, std streams, refs []string,
	do func(*client.Client, context.Context, nixspace.ID) (*client.Prebuild, error), said func(*client.Prebuild) string,
) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	var first error
	done := []*client.Prebuild{}
	for _, ref := range refs {
		id, err := prebuildOf(ctx, api, ref)
		var p *client.Prebuild
		if err == nil {
			p, err = do(api, ctx, id)
		}
		switch {
		case err != nil && first == nil:
			first = err
		case err != nil && !g.JSON:
			report(std.Err, false, err)
		case err == nil:
			if done = append(done, p); !g.JSON {
				fmt.Fprintf(std.Out, "prebuild %s of %s  %s\n", p.ID, p.Environment, said(p))
			}
		}
	}
	if g.JSON {
		if err := printJSON(std.Out, map[string]any{"prebuilds": done}); err != nil {
			return err
		}
	}
	return first
}

// printPreparation says how the setup of an environment stands.
func printPreparation(w io.Writer, ref string, p *client.Preparation) {
	if p == nil {
		return
	}
	at := ""
	if p.Commit != "" {
		at = " for " + short(p.Commit)
	}
	switch b := p.Prebuild; {
	case b == nil:
		fmt.Fprintf(w, "setup        not prepared%s  (nixspace prebuild %s)\n", at, ref)
	case b.Is(nixspace.BuildSucceeded):
		fmt.Fprintf(w, "setup        prepared%s, %s\n", at, ago(*b.FinishedAt))
	case b.Final():
		fmt.Fprintf(w, "setup        %s%s: %s  (nixspace prebuild log %s)\n", b.Status, at, term.Clean(b.Error), ref)
	default:
		fmt.Fprintf(w, "setup        is being prepared%s (%s)\n", at, b.Status)
	}
}
