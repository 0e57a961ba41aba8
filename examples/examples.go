// Package examples carries the example applications in the binary, for the
// quick start.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed shop
var files embed.FS

// Shop is a small shop: Node.js and PostgreSQL, with its own tests.
func Shop() fs.FS {
	shop, err := fs.Sub(files, "shop")
	if err != nil {
		panic("examples: " + err.Error()) // the directory is embedded above
	}
	return shop
}
