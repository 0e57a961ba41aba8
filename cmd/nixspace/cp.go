package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/copyfiles"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
)

type cpCmd struct {
	From string `arg:"" placeholder:"FROM" help:"A file or folder: PATH here, or SESSION:PATH."`
	To   string `arg:"" placeholder:"TO" help:"Where it goes: SESSION:PATH, or PATH here. Into a folder, if it is one or ends with /."`
}

// Help says more than one line about the verb.
func (*cpCmd) Help() string {
	return "Folders are copied with all that is in them. A path in a session that is not absolute is one of /workspace. A path here with a colon is written ./a:b.\n\nExamples: nixspace cp ./fixtures shop/1:  ·  nixspace cp shop/1:/workspace/report.html ."
}

// Run copies files to or from a session.
func (c *cpCmd) Run(ctx context.Context, g *globals, std streams) error {
	fromSession, fromPath, fromThere := sessionPath(c.From)
	toSession, toPath, toThere := sessionPath(c.To)
	if fromThere == toThere {
		return nixspace.Errorf(nixspace.KindInvalid, "usage", "one of the two must be in a session").
			WithHint("write SESSION:PATH, for example nixspace cp notes.txt shop/1:")
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	var n copyfiles.Counted
	if toThere {
		n, err = copyIn(ctx, api, c.From, toSession, toPath)
	} else {
		n, err = copyOut(ctx, api, fromSession, fromPath, c.To)
	}
	if err != nil {
		return err
	}
	if g.JSON {
		return json.NewEncoder(std.Out).Encode(map[string]int64{"files": int64(n.Files), "bytes": n.Bytes})
	}
	what := "1 file"
	if n.Files != 1 {
		what = fmt.Sprintf("%d files and folders", n.Files)
	}
	_, err = fmt.Fprintf(std.Err, "copied %s, %s\n", what, term.Bytes(n.Bytes))
	return err
}

// sessionPath takes SESSION:PATH apart. A slash or a dot before the colon that begins
// the argument makes it a path here.
func sessionPath(s string) (session, p string, there bool) {
	session, p, there = strings.Cut(s, ":")
	if !there || session == "" || strings.HasPrefix(s, "/") || strings.HasPrefix(s, ".") {
		return "", s, false
	}
	folder := p == "" || strings.HasSuffix(p, "/")
	if !path.IsAbs(p) {
		p = path.Join("/workspace", p)
	}
	p = path.Clean(p)
	if folder && p != "/" {
		p += "/"
	}
	return session, p, true
}

func copyIn(ctx context.Context, api *client.Client, source, session, to string) (copyfiles.Counted, error) {
	abs, err := filepath.Abs(source)
	if err != nil {
		return copyfiles.Counted{}, nixspace.Errorf(nixspace.KindInvalid, "path_invalid", "%w", err)
	}
	if _, err := os.Stat(abs); err != nil {
		return copyfiles.Counted{}, nixspace.Errorf(nixspace.KindNotFound, "file_not_found", "%w", err)
	}
	dir, name := path.Dir(to), path.Base(to)
	folder := strings.HasSuffix(to, "/")
	if !folder {
		if folder, err = api.IsFolder(ctx, session, to); err != nil {
			return copyfiles.Counted{}, err
		}
	}
	if folder {
		dir, name = path.Clean(to), filepath.Base(abs)
	}
	out, in := io.Pipe()
	go func() { _ = in.CloseWithError(copyfiles.Pack(in, abs, name)) }()
	defer out.Close()
	w, err := api.PutFiles(ctx, session, dir, out)
	return copyfiles.Counted{Files: w.Files, Bytes: w.Bytes}, err
}

func copyOut(ctx context.Context, api *client.Client, session, from, to string) (copyfiles.Counted, error) {
	dir, name := filepath.Dir(filepath.Clean(to)), filepath.Base(filepath.Clean(to))
	if info, err := os.Stat(to); strings.HasSuffix(to, "/") || err == nil && info.IsDir() {
		dir, name = to, ""
	}
	archive, err := api.GetFiles(ctx, session, path.Clean(from))
	if err != nil {
		return copyfiles.Counted{}, err
	}
	defer archive.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return copyfiles.Counted{}, nixspace.Errorf(nixspace.KindInvalid, "path_invalid", "%w", err)
	}
	n, err := copyfiles.Unpack(archive, dir, name)
	if err != nil && nixspace.ErrorCode(err) == "" {
		err = nixspace.Errorf(nixspace.KindUnavailable, "copy_failed", "the copy is not complete: %w", err)
	}
	return n, err
}
