// Package templates carries the projects that people begin with in the binary. Each
// is a folder that is worth having as it is: a manifest, a program with its tests,
// and a port to look at.
//
// None needs anything from a network: they start in a session that has none. A
// file whose name ends in ".template" loses that ending in a project, because Go
// would take the folder of a go.mod for another module.
package templates

import (
	"embed"
	"io/fs"

	"github.com/nixspace/nixspace"
)

//go:embed all:blank all:go all:go-postgres all:node all:node-postgres all:polyglot all:python all:python-postgres-redis all:static
var files embed.FS

// Files has one folder for each template.
func Files() fs.FS { return files }

// List lists the templates, by name.
func List() []nixspace.Template {
	return []nixspace.Template{
		{Name: "blank", Description: "Nothing but a manifest"},
		{Name: "go", Description: "A web server in Go, with tests"},
		{Name: "go-postgres", Description: "A guest book in Go over PostgreSQL"},
		{Name: "node", Description: "A web server in Node.js, with tests"},
		{Name: "node-postgres", Description: "A guest book in Node.js over PostgreSQL"},
		{Name: "polyglot", Description: "A page in Node.js, a worker in Python and a tool in Go, around Redis"},
		{Name: "python", Description: "A web server in Python, with tests"},
		{Name: "python-postgres-redis", Description: "A guest book in Python over PostgreSQL, with a counter in Redis"},
		{Name: "static", Description: "A web site of plain files, with a check of its links"},
	}
}
