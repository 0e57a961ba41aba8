// Package manifest is what an environment contains, as people write it
// (nixspace.toml) and as NixSpace identifies it (the canonical form and its
// hash).
//
// [Parse] reads a manifest and [Apply] edits its text, comments and order kept.
// [Resolve] chooses the one package that each constraint means among those a
// source offers. [Diff] and [Merge] compare by meaning, never by lines.
//
// The package is pure: it does no I/O and reads no clock. Every value that it
// returns may be shared between goroutines as long as nobody changes it.
package manifest

import (
	"strings"
	"time"
)

// MaxSize bounds the text of a manifest, in bytes.
const MaxSize = 512 << 10

// Schema is the only version of the format so far.
const Schema = 1

// FileName is the name that a manifest has in a project's folder.
const FileName = "nixspace.toml"

// Manifest is a parsed nixspace.toml. Its maps are nil where the file has no
// such table.
type Manifest struct {
	Source    Source
	Packages  map[string]Constraint // by family ("postgresql") or attribute ("postgresql_15")
	Services  map[string]Service
	Env       map[string]string
	Scripts   map[string]string // shell commands by name
	Checks    map[string]Check
	Ports     map[string]int // ports that the project's own programs listen on, by name
	Resources Resources
	Network   Network
	Session   Session
	Flake     *Flake // a flake that a user brought; nil for none

	doc *document // where each key stands; nil when it was not parsed from text
}

// Service is the [services.<name>] table. PostgreSQL and Redis are known by
// name; any other service needs a Command.
type Service struct {
	Command   string   // a shell command that stays in the foreground
	Directory string   // where Command runs, relative to /workspace; empty for /workspace itself
	Ready     string   // a shell command that succeeds once the service is ready; empty: once its port accepts
	Port      int      // 0 where none is given
	Ports     []int    // further ports that it listens on, in order
	DependsOn []string // services that must be ready before it starts, sorted; PostgreSQL and Redis always are
	// ReadyPort and ReadyHTTP are probed besides: a port that accepts, and a path
	// there (Port's, when ReadyPort is 0) that answers with a status below 400.
	ReadyPort    int
	ReadyHTTP    string
	ReadyTimeout Duration          // how long it may take to get ready; 0: as long as the host allows
	Restart      RestartPolicy     // when it is started again after it ended; empty: always
	RestartLimit int               // how often in a row it is started again; 0: ten times
	RestartDelay Duration          // how long it waits first, doubled each time; 0: 250ms
	Env          map[string]string // further variables of this service alone
	Databases    []string          // PostgreSQL: created once, the first is PGDATABASE
	// Settings are the server's own configuration: string, bool, int64 or
	// float64 (finite) by name.
	Settings map[string]any
}

// RestartPolicy says when a service that ended is started again.
type RestartPolicy string

// The restart policies.
const (
	RestartAlways    RestartPolicy = "always"
	RestartOnFailure RestartPolicy = "on-failure" // only after an exit code other than 0, or a signal
	RestartNever     RestartPolicy = "never"
)

// The limits of a [Service].
const (
	MaxReadyTimeout Duration = Duration(10 * time.Minute)
	MaxRestartDelay Duration = Duration(5 * time.Minute)
	MaxRestartLimit          = 1000
)

// Network is what a session may reach outside of itself: nothing, unless it says
// so. Its value in a manifest is "none", "full" or a list of hosts.
type Network struct {
	Egress string   // "none", "full", or empty where there is a list or nothing
	Allow  []string // the hosts, as nixspace.ParseEgressHost writes them, sorted
}

// The values of [Network.Egress].
const (
	EgressNone = "none"
	EgressFull = "full"
)

// Session is how the machines of an environment are kept.
type Session struct {
	// HibernateAfter is how long nobody must have worked in one before it is
	// hibernated: 0 leaves it to the server, [Never] is never.
	HibernateAfter Duration
}

// Never is a [Session.HibernateAfter] that does not come; a manifest says "never".
const Never Duration = -1

// The limits of [Session.HibernateAfter]; the server looks once a minute.
const (
	MinHibernateAfter Duration = Duration(time.Minute)
	MaxHibernateAfter Duration = Duration(30 * 24 * time.Hour)
)

// Resources are what a session may use. Zero means the default, see
// [Resources.OrDefault].
type Resources struct {
	CPUs   int
	Memory Size
	Disk   Size
}

// The defaults and limits of [Resources].
const (
	DefaultCPUs        = 1
	MaxCPUs            = 64
	DefaultMemory Size = 512
	MinMemory     Size = 128
	MaxMemory     Size = 1 << 20
	DefaultDisk   Size = 4 << 10
	MinDisk       Size = 256
	MaxDisk       Size = 16 << 20
)

// OrDefault returns r with the defaults in place of zeros.
func (r Resources) OrDefault() Resources {
	if r.CPUs == 0 {
		r.CPUs = DefaultCPUs
	}
	if r.Memory == 0 {
		r.Memory = DefaultMemory
	}
	if r.Disk == 0 {
		r.Disk = DefaultDisk
	}
	return r
}

// Source is where packages come from: "catalog", or "nixpkgs@" and a commit of
// NixOS/nixpkgs in full (40 hexadecimal digits). The zero value is the catalog.
type Source string

// Catalog is the package source that NixSpace carries itself.
const Catalog Source = "catalog"

// IsCatalog reports whether packages come from NixSpace's own catalog.
func (s Source) IsCatalog() bool { return s == "" || s == Catalog }

// Rev returns the commit of a nixpkgs source, and "" for the catalog.
func (s Source) Rev() string {
	rev, ok := strings.CutPrefix(string(s), "nixpkgs@")
	if !ok {
		return ""
	}
	return rev
}

// orDefault names the default source.
func (s Source) orDefault() Source {
	if s == "" {
		return Catalog
	}
	return s
}

// Parse reads a manifest. The name of the file is used in errors only. It fails
// with code manifest_invalid and the place of the first problem; the details
// "line", "column", "excerpt" and "problems" hold the rest for machines.
func Parse(filename string, data []byte) (*Manifest, error) {
	doc, err := newDocument(filename, data)
	if err != nil {
		return nil, err
	}
	d := &decoder{doc: doc}
	m := d.manifest(doc.values)
	if err := d.err(); err != nil {
		return nil, err
	}
	m.doc = doc
	return m, nil
}
