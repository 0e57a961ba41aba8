// Package ui holds the web interface as it was built, for the server to serve.
// `make build` builds it from the sources that lie beside; without that, as with
// a plain go build, there is none.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Site returns the files of the web interface, index.html among them, or nil when
// the program was built without it.
func Site() fs.FS { return built("dist/site", "index.html") }

// Code returns the files of the editor, most of them compressed (NAME.gz alone), or
// nil when the program was built without it.
func Code() fs.FS { return built("dist/code", "index.html.gz") }

func built(dir, page string) fs.FS {
	files, err := fs.Sub(dist, dir)
	if err != nil {
		return nil
	}
	if _, err := fs.Stat(files, page); err != nil {
		return nil
	}
	return files
}
