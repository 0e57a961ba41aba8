package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/nixspace/nixspace"
)

type importCmd struct {
	File  string `arg:"" help:"A file that nixspace export wrote; - for standard input."`
	As    string `placeholder:"[PROJECT/]NAME" help:"The new environment's name. Without it, the one that the file has for it."`
	Trust bool   `help:"Take store paths that this machine does not have. Their content is verified, but what they were built from only their maker knows."`
}

// Run makes an environment out of a file.
func (c *importCmd) Run(ctx context.Context, g *globals, std streams) error {
	file, size := std.In, int64(0)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nixspace.Errorf(nixspace.KindInvalid, "file_unreadable", "cannot read %s: %w", c.File, err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		file = f
	}
	api, err := g.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	d := g.display(std)
	got, err := api.Import(ctx, io.NopCloser(d.Reader(file, filepath.Base(c.File), "send", size)), c.As, c.Trust)
	d.Close()
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(std.Out, map[string]any{"import": got})
	}
	what := map[string]string{"fast_forward": "moved forward, ", "up_to_date": "already there, "}[got.Outcome]
	_, err = fmt.Fprintf(std.Out, "environment %s  %s: %s%d new versions, %d new store paths\n", got.Environment, short(got.Version), what, got.Versions, got.Paths)
	return err
}
