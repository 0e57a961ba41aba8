package fetches

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/nixspace/nixspace"
)

const maxReadme = 256 << 10 // bytes; more is cut off

// Readme is what a code base says about itself.
type Readme struct {
	Path string
	// Text is at most 256 KiB of it, as UTF-8. It is the code's: not to be trusted.
	Text string
}

// Readme returns the readme at the root of a project's code, or nil where there is
// none: Markdown rather than another format. It is code, which those who may only
// read definitions do not see.
func (u *UseCases) Readme(ctx context.Context, p *nixspace.Project) (*Readme, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nil, err
	}
	if a := nixspace.AccessFrom(ctx); a != nil && !a.InProject(p.ID).AtLeast(nixspace.RoleViewer) {
		return nil, nil
	}
	if u.cfg.Trees == nil || p.Workspace == "" {
		return nil, nil
	}
	tree, err := u.cfg.Trees.Tree(ctx, p.Workspace)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	return readme(tree)
}

func readme(tree fs.FS) (*Readme, error) {
	entries, err := fs.ReadDir(tree, ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		stem, _, _ := strings.Cut(strings.ToLower(e.Name()), ".")
		if e.Type().IsRegular() && stem == "readme" {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	rank := func(name string) int {
		switch strings.ToLower(path.Ext(name)) {
		case ".md", ".markdown":
			return 0
		case ".txt", "":
			return 1
		}
		return 2
	}
	sort.SliceStable(names, func(i, j int) bool { return rank(names[i]) < rank(names[j]) })
	text, err := fs.ReadFile(tree, names[0])
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text = text[:min(len(text), maxReadme)]
	return &Readme{Path: names[0], Text: strings.ReplaceAll(strings.ToValidUTF8(string(text), "\uFFFD"), "\x00", "")}, nil
}
