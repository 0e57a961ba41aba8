package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"runtime"

	xterm "golang.org/x/term"

	"github.com/nixspace/nixspace"
)

type openCmd struct {
	Session string `arg:"" help:"The session."`
	IDE     string `name:"ide" enum:"code,vscode,cursor,zed,jetbrains" default:"code" placeholder:"code|vscode|cursor|zed|jetbrains" help:"The editor: code is VS Code in a browser, served by NixSpace (${default}); for the others, the way to open the session in them over SSH is printed."`
	File    string `name:"file" placeholder:"PATH:LINE" help:"A file to open in VS Code in the browser, below /workspace, and a line of it."`
	Browser bool   `name:"browser" negatable:"" default:"true" help:"Open a browser, where this is a terminal of a desktop."`
}

// Help says more than one line about the verb.
func (*openCmd) Help() string {
	return "The address that is printed lets a browser in: it is good once, for a minute.\n\nExample: nixspace open shop/1; nixspace open shop/1 --ide vscode"
}

// sshEditors are the editors of this machine, each with the command that opens a
// folder of a host of SSH in it, and the address that does the same from a browser.
var sshEditors = map[string]struct{ command, address string }{
	"vscode":    {"code --remote ssh-remote+%[1]s %[2]s", "vscode://vscode-remote/ssh-remote+%[1]s%[2]s"},
	"cursor":    {"cursor --remote ssh-remote+%[1]s %[2]s", "cursor://vscode-remote/ssh-remote+%[1]s%[2]s"},
	"zed":       {"zed ssh://%[1]s%[2]s", "zed://ssh/%[1]s%[2]s"},
	"jetbrains": {"", "jetbrains-gateway://connect#type=ssh&deploy=true&host=%[1]s&user=dev&port=22&projectPath=%[2]s"},
}

const sessionFolder = "/workspace"

// Run opens a session in an editor.
func (c *openCmd) Run(ctx context.Context, g *globals, std streams) error {
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	if c.IDE == "code" {
		link, err := api.Code(ctx, c.Session, c.File)
		if err != nil {
			return err
		}
		if g.JSON {
			return json.NewEncoder(std.Out).Encode(link)
		}
		_, _ = fmt.Fprintln(std.Out, link.Open)
		if c.Browser {
			browse(ctx, std, link.Open)
		}
		return nil
	}
	s, err := api.Session(ctx, c.Session)
	if err != nil {
		return err
	}
	if s == nil {
		return nixspace.Errorf(nixspace.KindNotFound, "session_not_found", "there is no session %s", c.Session)
	}
	host := sshHost(s.Ref) + sshDomain
	e := sshEditors[c.IDE]
	out := struct {
		Host    string `json:"host"`
		Folder  string `json:"folder"`
		Command string `json:"command,omitempty"`
		URL     string `json:"url"`
	}{Host: host, Folder: sessionFolder, URL: fmt.Sprintf(e.address, url.PathEscape(host), sessionFolder)}
	if e.command != "" {
		out.Command = fmt.Sprintf(e.command, host, sessionFolder)
	}
	if g.JSON {
		return json.NewEncoder(std.Out).Encode(out)
	}
	_, _ = fmt.Fprintf(std.Out, "once on this machine:  nixspace ssh --config\n")
	if out.Command != "" {
		_, _ = fmt.Fprintf(std.Out, "then:                  %s\n", out.Command)
	}
	_, err = fmt.Fprintf(std.Out, "or open:               %s\n", out.URL)
	return err
}

// browse opens an address in a browser, where there is one. The address has been
// printed, so it matters to nobody when that fails.
func browse(ctx context.Context, std streams, address string) {
	out, ok := std.Out.(*os.File)
	if !ok || !xterm.IsTerminal(int(out.Fd())) {
		return
	}
	opener := "xdg-open"
	switch {
	case runtime.GOOS == "darwin":
		opener = "open"
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "":
		return
	}
	if path, err := exec.LookPath(opener); err == nil {
		_ = exec.CommandContext(ctx, path, address).Run()
	}
}
