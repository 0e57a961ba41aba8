package fetches

import (
	"strings"
	"testing"
	"testing/fstest"
)

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
