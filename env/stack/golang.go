package stack

import (
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/nixspace/nixspace/env/constraint"
)

func detectGo(f *folder) {
	if file := f.open("go.work"); file != nil {
		if w, err := modfile.ParseWork(file.path, file.data, nil); err != nil {
			file.note(f.whole("go.work"), "it cannot be understood")
		} else if w.Go != nil {
			file.need("go", constraint.Minimum, w.Go.Version, Declared, w.Go.Syntax.Start.Line, "it is the oldest that will do")
		}
	}
	file := f.open("go.mod")
	if file == nil {
		return
	}
	f.implied("go", "go.mod", "the project is of Go")
	m, err := modfile.ParseLax(file.path, file.data, nil)
	if err != nil {
		file.note(f.whole("go.mod"), "it cannot be understood")
		return
	}
	if m.Go != nil {
		file.need("go", constraint.Minimum, m.Go.Version, Declared, m.Go.Syntax.Start.Line, "it is the oldest that will do")
	}
	// A toolchain is a wish for that one or a newer one, too.
	if m.Toolchain != nil && m.Toolchain.Name != "default" {
		file.need("go", constraint.Minimum, m.Toolchain.Name, Declared, m.Toolchain.Syntax.Start.Line, "it is the oldest that will do")
	}
	for _, r := range m.Require {
		if r.Indirect || r.Syntax == nil {
			continue
		}
		file.client(goClients, goModule(r.Mod.Path), r.Syntax.Start.Line)
		if r.Mod.Path == "github.com/mattn/go-sqlite3" {
			file.need("gcc", constraint.Pin, "", Declared, r.Syntax.Start.Line, "the module is built with a C compiler")
		}
	}
	if !f.has("vendor/modules.txt") && !hasName(f.names, "vendor/") {
		f.step("go mod download", f.whole("go.mod"))
	}
	f.script("test", "go test ./...", f.whole("go.mod"))
	if f.has("main.go") {
		f.script("start", "go run .", f.whole("main.go"))
	}
}

// goModule is a module's path without its major version.
func goModule(path string) string {
	i := strings.LastIndex(path, "/v")
	if i > 0 && strings.Trim(path[i+2:], "0123456789") == "" {
		return path[:i]
	}
	return path
}

func hasName(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
