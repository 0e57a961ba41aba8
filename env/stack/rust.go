package stack

import (
	"path"
	"slices"

	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/stack/syntax"
)

// rustClients are crates; of those in rustFeatures a feature says which database.
var (
	rustClients = map[string]string{
		"tokio-postgres": "postgresql", "postgres": "postgresql", "deadpool-postgres": "postgresql", "diesel-async": "postgresql",
		"redis": "redis", "fred": "redis", "deadpool-redis": "redis", "mysql": "mysql", "mysql_async": "mysql", "mongodb": "mongodb",
		"lapin": "rabbitmq-server", "rdkafka": "apacheKafka", "async-nats": "nats-server",
	}
	rustFeatures = map[string]string{"postgres": "postgresql", "postgresql": "postgresql", "sqlx-postgres": "postgresql", "mysql": "mysql", "sqlx-mysql": "mysql"}
)

func detectRust(f *folder) {
	file := f.open("Cargo.toml")
	if file == nil {
		return
	}
	root := file.tree(syntax.TOML)
	f.implied("rustc", "Cargo.toml", "the project is of Rust")
	f.implied("cargo", "Cargo.toml", "the project is of Rust")
	f.implied("gcc", "Cargo.toml", "Rust links with a C compiler")
	for _, at := range [][]string{{"package", "rust-version"}, {"workspace", "package", "rust-version"}} {
		if n := root.Get(at...); n.Text() != "" {
			for _, family := range []string{"rustc", "cargo"} {
				file.need(family, constraint.Minimum, n.Text(), Declared, n.Line, "it is the oldest that will do")
			}
		}
	}
	for _, at := range [][]string{{"dependencies"}, {"workspace", "dependencies"}} {
		for _, dep := range root.Get(at...).All() {
			file.client(rustClients, dep.Name, dep.Line)
			if word(dep.Name, "sqlx", "diesel", "sea-orm") {
				for _, feature := range dep.Get("features").Strings() {
					file.client(rustFeatures, feature, dep.Line)
				}
			}
		}
	}
	if !f.root() && f.above("Cargo.toml") {
		return // the workspace above builds it
	}
	fetch := "cargo fetch"
	if f.has("Cargo.lock") {
		fetch += " --locked"
	}
	f.step(fetch, f.whole("Cargo.toml"))
	f.script("test", "cargo test", f.whole("Cargo.toml"))
	src := slices.IndexFunc(f.folders, func(o folder) bool { return o.dir == path.Join(f.dir, "src") })
	if root.Get("bin") != nil || src >= 0 && f.folders[src].has("main.rs") {
		f.script("start", "cargo run", f.whole("Cargo.toml"))
	}
}

// above reports whether a folder above has a file of a name.
func (f *folder) above(name string) bool {
	for dir := path.Dir(f.dir); ; dir = path.Dir(dir) {
		if dir == "." {
			return f.folders[0].has(name)
		}
		if i := slices.IndexFunc(f.folders, func(o folder) bool { return o.dir == dir }); i >= 0 && f.folders[i].has(name) {
			return true
		}
	}
}
