package fetches

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nixspace/nixspace"
)

// readmeTrees have the same readme in all code.
type readmeTrees struct{ Trees }

type closedTree struct {
	fstest.MapFS
	io.Closer
}

func (readmeTrees) Tree(context.Context, string) (Tree, error) {
	return closedTree{fstest.MapFS{"README.md": {Data: []byte("# shop")}}, io.NopCloser(nil)}, nil
}

// TestReadmeIsCode checks that those who may only read definitions do not see it.
func TestReadmeIsCode(t *testing.T) {
	u := New(Config{Parts: Parts{Trees: readmeTrees{}}})
	p := &nixspace.Project{ID: nixspace.NewID(), Workspace: strings.Repeat("a", 64)}
	for role, sees := range map[nixspace.Role]bool{
		nixspace.RoleNone: false, nixspace.RoleGuest: false, nixspace.RoleViewer: true, nixspace.RoleDeveloper: true, nixspace.RoleOwner: true,
	} {
		ctx := nixspace.WithActor(context.Background(), nixspace.Actor{ID: nixspace.NewID(), Name: "ada"})
		ctx = nixspace.WithAccess(ctx, nixspace.NewAccess(nixspace.NewID(), nixspace.StandingMember, map[nixspace.ID]nixspace.Role{p.ID: role}))
		if r, err := u.Readme(ctx, p); err != nil || (r != nil) != sees {
			t.Errorf("%s: readme %v, %v", role, r, err)
		}
	}
}

func TestReadme(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		tree       fstest.MapFS
		path, text string
	}{
		"none":        {fstest.MapFS{"main.go": file("package main"), "docs/README.md": file("# docs")}, "", ""},
		"markdown":    {fstest.MapFS{"README": file("plain"), "ReadMe.md": file("# shop")}, "ReadMe.md", "# shop"},
		"plain":       {fstest.MapFS{"README.rst": file("rst"), "README": file("plain")}, "README", "plain"},
		"not a file":  {fstest.MapFS{"readme.md/x": file("x")}, "", ""},
		"other names": {fstest.MapFS{"readmenot.md": file("x")}, "", ""},
		"bytes":       {fstest.MapFS{"README.md": file("a\xffb\x00c")}, "README.md", "a\uFFFDbc"},
		"long":        {fstest.MapFS{"README.md": file(strings.Repeat("x", maxReadme+10))}, "README.md", strings.Repeat("x", maxReadme)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readme(c.tree)
			if err != nil {
				t.Fatal(err)
			}
			if got == nil {
				got = &Readme{}
			}
			if got.Path != c.path || got.Text != c.text {
				t.Errorf("readme is %q with %d bytes, want %q with %d", got.Path, len(got.Text), c.path, len(c.text))
			}
		})
	}
}
