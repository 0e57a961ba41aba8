package manifest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Canonical is the identity of an environment: what it contains, with every
// package as a store path and every default spelled out. Its JSON form has a
// fixed order and no spaces.
type Canonical struct {
	Schema    int                         `json:"schema"`
	System    string                      `json:"system"`
	Source    Source                      `json:"source"`
	Base      string                      `json:"base"`
	Packages  map[string]CanonicalPackage `json:"packages"` // by attribute
	Env       map[string]string           `json:"env"`
	Services  map[string]CanonicalService `json:"services"`
	Scripts   map[string]string           `json:"scripts"`
	Ports     map[string]int              `json:"ports"`
	Resources CanonicalResources          `json:"resources"`
	Flake     *CanonicalFlake             `json:"flake,omitempty"`
	// Network is missing where the environment may reach nothing.
	Network *CanonicalNetwork `json:"network,omitempty"`
	// HibernateAfter is in milliseconds; missing where it is left to the server, and
	// -1 for never.
	HibernateAfter int64 `json:"hibernate_after_ms,omitempty"`
}

// CanonicalNetwork is the network of a [Canonical]. One of its fields is set.
type CanonicalNetwork struct {
	Full  bool     `json:"full,omitempty"`
	Allow []string `json:"allow,omitempty"`
}

// CanonicalPackage is one package of a [Canonical].
type CanonicalPackage struct {
	Family  string `json:"family"`
	Version string `json:"version"`
	Path    string `json:"path"`
}

// CanonicalService is one service of a [Canonical].
type CanonicalService struct {
	Command   string            `json:"command,omitempty"`
	Directory string            `json:"directory,omitempty"`
	Ready     string            `json:"ready,omitempty"`
	Port      int               `json:"port,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	Databases []string          `json:"databases,omitempty"`
	Settings  map[string]any    `json:"settings,omitempty"`

	// What came later stands last, and is left out where it is not used: the hash
	// of an environment does not change with NixSpace.
	DependsOn    []string      `json:"depends_on,omitempty"`
	Ports        []int         `json:"ports,omitempty"`
	ReadyHTTP    string        `json:"ready_http,omitempty"`
	ReadyPort    int           `json:"ready_port,omitempty"`
	ReadyTimeout int64         `json:"ready_timeout_ms,omitempty"`
	Restart      RestartPolicy `json:"restart,omitempty"`
	RestartLimit int           `json:"restart_limit,omitempty"`
	RestartDelay int64         `json:"restart_delay_ms,omitempty"`
}

// CanonicalResources are the resources of a [Canonical].
type CanonicalResources struct {
	CPUs   int   `json:"cpus"`
	Memory int64 `json:"memory_mib"`
	Disk   int64 `json:"disk_mib"`
}

// Canonical returns the canonical form.
func (r *Resolved) Canonical() Canonical {
	m, res := r.Manifest, r.Manifest.Resources.OrDefault()
	c := Canonical{
		Flake: r.Flake, Schema: Schema, System: r.System, Source: m.Source.orDefault(), Base: r.Base,
		Packages: map[string]CanonicalPackage{}, Services: map[string]CanonicalService{},
		Env: orEmpty(m.Env), Scripts: orEmpty(m.Scripts), Ports: orEmpty(m.Ports),
		Resources: CanonicalResources{CPUs: res.CPUs, Memory: res.Memory.MiB(), Disk: res.Disk.MiB()},
	}
	if e := m.Network.Policy(); e.Any() {
		c.Network = &CanonicalNetwork{Full: e.Full, Allow: e.Allow}
	}
	if after := m.Session.HibernateAfter; after == Never {
		c.HibernateAfter = -1
	} else {
		c.HibernateAfter = after.Milliseconds()
	}
	for _, p := range r.Packages {
		c.Packages[p.Attr] = CanonicalPackage{Family: p.Family, Version: p.Version, Path: p.OutPath}
	}
	for name, s := range m.Services {
		c.Services[name] = canonicalService(name, s)
	}
	return c
}

func canonicalService(name string, s Service) CanonicalService {
	restart := s.Restart
	if restart == RestartAlways {
		restart = "" // the default
	}
	return CanonicalService{
		Command: s.Command, Directory: s.Directory, Ready: s.Ready, Port: ServicePort(name, s),
		Env: s.Env, Databases: s.Databases, Settings: s.Settings,
		DependsOn: s.DependsOn, Ports: s.Ports, ReadyHTTP: s.ReadyHTTP, ReadyPort: s.ReadyPort,
		ReadyTimeout: s.ReadyTimeout.Milliseconds(), Restart: restart,
		RestartLimit: s.RestartLimit, RestartDelay: s.RestartDelay.Milliseconds(),
	}
}

// Attrs returns the attributes of all packages, sorted.
func (c Canonical) Attrs() []string { return sorted(c.Packages) }

// JSON returns the bytes that the hash is taken of.
func (c Canonical) JSON() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c); err != nil {
		panic("manifest: encode a canonical form: " + err.Error()) // Parse admits finite numbers and text only
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Hash returns the SHA-256 of the canonical form, in lower-case hex: the
// identity of the environment, equal wherever the package lock is equal.
func (r *Resolved) Hash() string {
	sum := sha256.Sum256(r.Canonical().JSON())
	return hex.EncodeToString(sum[:])
}

// ReadCanonical reads what [Canonical.JSON] wrote.
func ReadCanonical(data []byte) (Canonical, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // a float64 would round large settings
	var c Canonical
	if err := d.Decode(&c); err != nil {
		return Canonical{}, fmt.Errorf("read a canonical manifest: %w", err)
	}
	if c.Schema != Schema {
		return Canonical{}, fmt.Errorf("read a canonical manifest: schema %d is unknown", c.Schema)
	}
	return c, nil
}

// Restore puts a manifest and the canonical form that was stored with it
// together again, as Resolve returned them when the version was made: the offers
// of today do not matter. It fails where the two do not belong together.
func Restore(m *Manifest, canonical []byte) (*Resolved, error) {
	c, err := ReadCanonical(canonical)
	if err != nil {
		return nil, err
	}
	r := &Resolved{Manifest: m, System: c.System, Base: c.Base, Flake: c.Flake}
	if (c.Flake == nil) != (m.Flake == nil) {
		return nil, errors.New("restore a manifest: only one of it and its canonical form has a flake")
	}
	if len(c.Packages) != len(m.Packages) {
		return nil, errors.New("restore a manifest: it and its canonical form have different packages")
	}
	for attr, p := range c.Packages {
		key := attr
		constraint, ok := m.Packages[key]
		if !ok {
			key = p.Family
			constraint, ok = m.Packages[key]
		}
		if !ok {
			return nil, fmt.Errorf("restore a manifest: it does not name %s", attr)
		}
		r.Packages = append(r.Packages, Package{
			Key: key, Constraint: constraint, Attr: attr, Family: p.Family, Version: p.Version, OutPath: p.Path,
		})
	}
	slices.SortFunc(r.Packages, func(a, b Package) int { return cmp.Compare(a.Attr, b.Attr) })
	return r, nil
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}
