package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/env/source"
)

// sourceFlags say more about where code comes from.
type sourceFlags struct {
	Template   string `placeholder:"NAME" help:"Begin with a template; see nixspace templates."`
	Ref        string `placeholder:"REF" help:"The branch, tag or commit of the repository."`
	Dir        string `placeholder:"DIR" help:"The folder of the repository to take, without its history."`
	Submodules bool   `help:"Fetch the submodules of the repository, too."`
	NoHistory  bool   `help:"Of a folder that is a git work tree, send no commits: sessions then have no .git."`
	TokenStdin bool   `help:"Read a token for a private repository from standard input."`
	TokenUser  string `placeholder:"USER" help:"The user name that goes with the token, where the server wants a certain one."`
	DeployKey  string `type:"path" placeholder:"FILE" help:"A private key, without a passphrase, for a private repository over ssh."`
}

// maxSecret bounds a token or key, in bytes.
const maxSecret = 32 << 10

// origin is what a project is made of.
type origin struct {
	workspace string // digest; empty for none
	source    string // in words
	notes     []string
}

// get brings the code to the server, from wherever it is.
func (f *sourceFlags) get(ctx context.Context, api *client.Client, d *term.Display, std streams, path string, limits nixspace.CodeLimits) (origin, error) {
	if f.Template != "" {
		path = "template:" + f.Template
	}
	info, err := os.Stat(path)
	local := err == nil && f.Template == ""
	remote := f.Ref != "" || f.Dir != "" || f.Submodules || f.TokenStdin || f.DeployKey != ""
	switch {
	case local && remote:
		return origin{}, nixspace.Errorf(nixspace.KindInvalid, "usage", "--ref, --dir, --submodules, --token-stdin and --deploy-key are for repositories, and %s is here", path)
	case local && info.Mode().IsRegular():
		return f.sendFile(ctx, api, d, path)
	case !local && (remote || source.Is(path)):
		return f.fetch(ctx, api, d, std, path)
	}
	name, err := sourceName(path)
	if err != nil {
		return origin{}, err
	}
	ws, err := upload(ctx, api, d, path, !f.NoHistory, limits)
	return origin{workspace: ws.Digest, source: name}, err
}

// sendFile sends an archive or a flake.nix.
func (f *sourceFlags) sendFile(ctx context.Context, api *client.Client, d *term.Display, path string) (origin, error) {
	file, err := os.Open(path)
	if err != nil {
		return origin{}, nixspace.Errorf(nixspace.KindInvalid, "file_unreadable", "%s cannot be read: %w", path, err)
	}
	defer file.Close()
	pr, pw := io.Pipe()
	go func() {
		_, err := io.Copy(&counter{w: pw, d: d}, file)
		pw.CloseWithError(err)
	}()
	ws, notes, err := api.PutArchive(ctx, pr)
	pr.Close()
	d.Forget("code")
	if err != nil {
		return origin{}, err
	}
	d.Printf("code: %d files, %s", ws.Files, term.Bytes(ws.Size))
	return origin{workspace: ws.Digest, source: filepath.Base(path), notes: notes}, nil
}

// fetch lets the server fetch the code, and shows how far that is.
func (f *sourceFlags) fetch(ctx context.Context, api *client.Client, d *term.Display, std streams, from string) (origin, error) {
	in := client.FetchInput{Source: from, Ref: f.Ref, Dir: f.Dir, Submodules: f.Submodules, User: f.TokenUser}
	var err error
	if f.TokenStdin {
		if in.Token, err = readToken(std.In); err != nil {
			return origin{}, err
		}
	}
	if f.DeployKey != "" {
		b, err := os.ReadFile(f.DeployKey)
		if err != nil {
			return origin{}, nixspace.Errorf(nixspace.KindInvalid, "file_unreadable", "the deploy key cannot be read: %w", err)
		}
		in.Key = string(b)
	}
	fetch, err := api.FetchSource(ctx, in)
	if err != nil {
		return origin{}, err
	}
	id := fetch.ID
	err = api.WatchFetch(ctx, id, func(u client.SourceUpdate) error {
		if u.Progress != nil {
			d.Report(*u.Progress)
		}
		if u.Fetch != nil {
			fetch = u.Fetch
		}
		return nil
	})
	d.Forget("source")
	if ctx.Err() != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_, cerr := api.CancelFetch(stop, id)
		return origin{}, errors.Join(ctx.Err(), cerr)
	}
	if err != nil {
		return origin{}, err
	}
	if !fetch.Is(nixspace.BuildSucceeded) || fetch.Code == nil {
		kind := nixspace.KindUnavailable
		switch fetch.ErrorCode {
		case "source_not_found", "ref_unknown", "source_folder_unknown", "template_unknown", "source_empty":
			kind = nixspace.KindNotFound
		case "address_refused", "source_host_key", "source_scheme":
			kind = nixspace.KindForbidden
		case "source_unauthorized":
			kind = nixspace.KindUnauthorized
		}
		return origin{}, &nixspace.Error{Kind: kind, Code: fetch.ErrorCode, Message: term.Clean(fetch.Error)}
	}
	got := fetch.Code
	words := fetch.Source
	if got.Commit != "" {
		words = strings.TrimSuffix(words, ".git") + " at " + short(got.Commit)
	}
	d.Printf("code: %d files, %s%s", got.Files, term.Bytes(got.Size), atCommit(got))
	return origin{workspace: got.Workspace, source: words, notes: got.Notes}, nil
}

func atCommit(c *client.FetchedCode) string {
	if c.Commit == "" {
		return ""
	}
	name := c.Ref
	for _, space := range []string{"refs/heads/", "refs/tags/", "refs/"} {
		if rest, ok := strings.CutPrefix(name, space); ok {
			name = rest
			break
		}
	}
	if name == "" {
		return ", " + short(c.Commit)
	}
	return fmt.Sprintf(", %s at %s", term.Clean(name), short(c.Commit))
}

// readToken reads the first line.
func readToken(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxSecret)).ReadString('\n')
	token := strings.TrimSpace(line)
	if err != nil && !errors.Is(err, io.EOF) || token == "" {
		return "", nixspace.Errorf(nixspace.KindInvalid, "token_missing", "there is no token on standard input").
			WithHint("for example: nixspace create … --token-stdin < token")
	}
	return token, nil
}

// printDetection prints what was chosen for code, and why.
func printDetection(w io.Writer, det *client.Detection) {
	paint := term.PaintFor(w, os.Getenv)
	names := make([]string, len(det.Choices))
	width := 0
	for i, c := range det.Choices {
		names[i] = term.Clean(choiceName(c.Path, c.Value))
		width = max(width, min(len(names[i]), 24))
	}
	for i, c := range det.Choices {
		fmt.Fprintf(w, "  %-*s  %s\n", width, names[i], paint.Faint(term.Clean(plain(c.Reason))))
	}
	for _, x := range det.Defined {
		fmt.Fprintf(w, "  %s\n", term.Clean(fmt.Sprintf("there is a %s, too: %s", x.Tool, x.File)))
	}
	for _, c := range det.Conflicts {
		fmt.Fprintf(w, "%s %s\n", paint.Changed("conflict:"), term.Clean(plain(c)))
	}
	for _, l := range det.Lacks {
		fmt.Fprintf(w, "%s %s\n", paint.Removed("missing:"), term.Clean(plain(l)))
	}
	for _, n := range det.Notes {
		fmt.Fprintf(w, "%s %s\n", paint.Changed("note:"), term.Clean(plain(n)))
	}
}

// choiceName names a choice in a few words.
func choiceName(path, value string) string {
	kind, name, _ := strings.Cut(path, ".")
	switch kind {
	case "packages":
		return name + " " + value
	case "services":
		return "service " + name
	case "ports":
		return "port " + value
	}
	return "script " + name
}
