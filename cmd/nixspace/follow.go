package main

import (
	"context"
	"os"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

// display returns where progress is shown: nowhere with --json.
func (g *globals) display(std streams) *term.Display {
	if g.JSON {
		return nil
	}
	return term.New(std.Err, os.Getenv)
}

// logTail is how many lines of a failed build's log are shown.
const logTail = 25

// logView shows a log: all of it as it comes, or its end for what failed.
type logView struct {
	d     *term.Display
	whole bool
	tail  []string
}

func (v *logView) line(text string) {
	text = term.Clean(text)
	if v.whole {
		v.d.Printf("%s", text)
	}
	if v.tail = append(v.tail, text); len(v.tail) > logTail {
		v.tail = v.tail[1:]
	}
}

// end shows the last lines, unless they were shown already.
func (v *logView) end(of string) {
	if v.whole || len(v.tail) == 0 {
		return
	}
	v.d.Printf("the last lines of %s:", of)
	for _, l := range v.tail {
		v.d.Printf("  %s", l)
	}
}

// followBuild shows a build until it is final, and returns it. A build that did
// not succeed is an error.
func followBuild(ctx context.Context, c *client.Client, d *term.Display, b *client.Build, showLog bool) (*client.Build, error) {
	if b == nil {
		return nil, nil
	}
	last := b
	log := logView{d: d, whole: showLog}
	err := c.WatchBuild(ctx, b.ID, func(u client.BuildUpdate) error {
		switch {
		case u.Build != nil:
			last = u.Build
			if u.Build.Final() {
				return client.ErrStop
			}
		case u.Progress != nil:
			d.Report(*u.Progress)
		case u.Line != nil:
			log.line(u.Line.Text)
		}
		return nil
	})
	if err != nil {
		return last, err
	}
	switch {
	case last.Is(nixspace.BuildSucceeded):
		return last, nil
	case last.Is(nixspace.BuildCanceled):
		return last, nixspace.Errorf(nixspace.KindCanceled, "build_canceled", "the build was cancelled")
	case last.Is(nixspace.BuildFailed):
		log.end("the build's log")
		code, message := last.ErrorCode, last.Error
		if code == "" {
			code = "build_failed"
		}
		if message == "" {
			message = "the build failed"
		}
		return last, &nixspace.Error{Kind: nixspace.KindBuild, Code: code, Message: message}
	}
	return last, nixspace.Errorf(nixspace.KindUnavailable, "build_unknown", "the server told no end of the build").
		WithHint("ask again: nixspace build")
}

// awaitSession shows a session that starts until its machine runs. One that ends
// up in another state is an error.
func awaitSession(ctx context.Context, c *client.Client, d *term.Display, s *client.Session, name string) (*client.Session, error) {
	last := *s
	defer d.Forget(name)
	d.Status(name, "starting")
	told := map[string]bool{}
	err := c.WatchSession(ctx, string(s.ID), func(u client.SessionUpdate) error {
		last = u.Session
		last.Machine = u.Machine
		showStart(d, name, u, told)
		if nixspace.SessionStatus(u.Session.Status) != nixspace.SessionCreating {
			return client.ErrStop
		}
		return nil
	})
	if err != nil {
		return &last, err
	}
	if last.Is(nixspace.SessionRunning) {
		return &last, nil
	}
	code, message := last.ReasonCode, last.Reason
	if code == "" {
		code = "session_" + string(last.Status)
	}
	if message == "" {
		message = "it is " + string(last.Status)
	}
	return &last, nixspace.Errorf(nixspace.KindUnavailable, code, "session %s did not start: %s", last.Ref, message).
		WithHint("see what it says: nixspace show %s", last.Ref)
}

// showStart shows what a starting session is doing: in detail on a terminal,
// elsewhere each phase once.
func showStart(d *term.Display, name string, u client.SessionUpdate, told map[string]bool) {
	phase := ""
	p := u.Progress
	switch {
	case p != nil && p.Phase != "":
		phase = p.Phase
	case u.Machine != nil:
		phase = u.Machine.Phase
	}
	switch {
	case phase == "":
	case !d.Live():
		if !told[phase] {
			told[phase] = true
			d.Status(name, phase)
		}
	case p != nil && p.Total > 0:
		d.Report(nixspace.Progress{Job: name, Phase: p.Phase + " " + p.Job, Done: p.Done, Total: p.Total, Unit: p.Unit})
	case p != nil && p.Job != "" && p.Job != name:
		d.Status(name, phase+" "+p.Job)
	default:
		d.Status(name, phase)
	}
}
