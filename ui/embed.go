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
func Site() fs.FS {
	site, err := fs.Sub(dist, "dist/site")
	if err != nil {
		return nil
	}
	if _, err := fs.Stat(site, "index.html"); err != nil {
		return nil
	}
	return site
}
