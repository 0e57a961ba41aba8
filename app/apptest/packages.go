// Package apptest has small stand-ins for what the use cases work with, for
// tests that are not about packages or machines. The real ones are exercised by
// the tests of the whole system.
package apptest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// Packages is a package source whose store is a set of paths in memory. Paths
// are made from what they stand for, as Nix does, so equal derivations have
// equal paths.
type Packages struct {
	mu     sync.Mutex
	offers []nixspace.Package
	glibc  string              // what every output refers to
	valid  map[string][]string // path → references
	roots  map[string]string
	aged   map[string]time.Time // links that are old, see AgeRoots
	drvs   map[string]drv
	fail   error
	gate   chan struct{}
	runs   int
}

type drv struct {
	out   string
	attrs []string
}

// NewPackages returns a source of a few PostgreSQL, Node.js and other packages,
// all present.
func NewPackages() *Packages {
	p := &Packages{valid: map[string][]string{}, roots: map[string]string{}, drvs: map[string]drv{}}
	add := func(attr, family, version string, def bool) {
		out := storePath("out "+attr+version, strings.ReplaceAll(attr, "_", "-")+"-"+version)
		p.offers = append(p.offers, nixspace.Package{
			Attr: attr, Family: family, Version: version, Default: def, Present: true,
			Description: family + " for tests", DrvPath: out + ".drv", OutPath: out,
		})
	}
	add("git", "git", "2.39.5", true)
	add("nixspaceBase", "nixspaceBase", "1", true)
	for _, v := range []string{"20.19.1", "22.20.0"} {
		add("nodejs_"+v[:2], "nodejs", v, v[:2] == "22")
	}
	for _, v := range []string{"13.23", "14.20", "15.15", "16.11"} {
		add("postgresql_"+v[:2], "postgresql", v, v[:2] == "16")
	}
	slices.SortFunc(p.offers, func(a, b nixspace.Package) int { return cmp.Compare(a.Attr, b.Attr) })
	p.glibc = storePath("glibc", "glibc-2.36")
	p.valid[p.glibc] = []string{p.glibc}
	for _, o := range p.offers {
		p.valid[o.OutPath] = []string{p.glibc}
	}
	return p
}

// Base32 of Nix, in whose form store paths are.
const base32 = "0123456789abcdfghijklmnpqrsvwxyz"

func storePath(content, name string) string {
	sum := sha256.Sum256([]byte(content))
	hash := make([]byte, 32)
	for i := range hash {
		hash[i] = base32[sum[i]%32]
	}
	return nixspace.StoreDir + "/" + string(hash) + "-" + name
}

// SetPresent says whether the outputs of attributes are valid.
func (p *Packages) SetPresent(present bool, attrs ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offers = slices.Clone(p.offers)
	for i, o := range p.offers {
		if !slices.Contains(attrs, o.Attr) {
			continue
		}
		p.offers[i].Present = present
		if present {
			p.valid[o.OutPath] = []string{p.glibc}
		} else {
			delete(p.valid, o.OutPath)
		}
	}
}

// SetVersion makes the source offer another version of an attribute.
func (p *Packages) SetVersion(attr, version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offers = slices.Clone(p.offers)
	for i, o := range p.offers {
		if o.Attr == attr {
			out := storePath("out "+attr+version, strings.ReplaceAll(attr, "_", "-")+"-"+version)
			p.offers[i].Version, p.offers[i].OutPath, p.offers[i].DrvPath = version, out, out+".drv"
			p.valid[out] = []string{p.glibc}
		}
	}
}

// Fail makes every later Realise fail with err; nil ends that.
func (p *Packages) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

// Hold makes every later Realise wait until release is called, or its context
// ends.
func (p *Packages) Hold() (release func()) {
	gate := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = gate
	return sync.OnceFunc(func() {
		p.mu.Lock()
		p.gate = nil
		p.mu.Unlock()
		close(gate)
	})
}

// Collect does what a garbage collector does to one path that is not rooted.
func (p *Packages) Collect(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.valid, path)
}

// Runs returns how often Realise did something.
func (p *Packages) Runs() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runs
}

// Offers implements app.Packages.
func (p *Packages) Offers(context.Context) ([]nixspace.Package, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offers, nil
}

// Source implements app.Packages.
func (p *Packages) Source(context.Context) (nixspace.FlakeSource, error) {
	path := storePath("source", "source")
	attrs := map[string]any{"type": "path", "path": path}
	locked := map[string]any{
		"type": "path", "path": path, "lastModified": 1, "narHash": "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	}
	return nixspace.FlakeSource{URL: "path:" + path, Locked: locked, Original: attrs, Digest: strings.Repeat("0", 64)}, nil
}

// Instantiate implements app.Packages.
func (p *Packages) Instantiate(_ context.Context, name string, attrs []string) (drvPath, outPath string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	content := name
	for _, attr := range attrs {
		i := slices.IndexFunc(p.offers, func(o nixspace.Package) bool { return o.Attr == attr })
		if i < 0 {
			return "", "", fmt.Errorf("instantiate %s: there is no attribute %s", name, attr)
		}
		content += " " + p.offers[i].OutPath
	}
	drvPath, outPath = storePath("drv "+content, name+".drv"), storePath("out "+content, name)
	p.drvs[drvPath] = drv{outPath, slices.Clone(attrs)}
	return drvPath, outPath, nil
}

// Realise implements app.Packages.
func (p *Packages) Realise(ctx context.Context, drvPath string, attrs []string, root string, progress nixspace.ProgressFunc) error {
	p.mu.Lock()
	gate := p.gate
	p.runs++
	p.mu.Unlock()
	progress.Report(nixspace.Progress{Job: root, Phase: "build", Total: 1})
	progress.Report(nixspace.Progress{Log: "realising " + strings.Join(attrs, " ")})
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	p.offers = slices.Clone(p.offers)
	var refs []string
	for i, o := range p.offers {
		if slices.Contains(attrs, o.Attr) || o.DrvPath == drvPath {
			p.offers[i].Present = true
			p.valid[o.OutPath] = []string{p.glibc}
			refs = append(refs, o.OutPath)
		}
	}
	if d, ok := p.drvs[drvPath]; ok {
		if !slices.Equal(d.attrs, attrs) {
			return errors.New("realise: these are not the derivation's packages")
		}
		p.valid[d.out] = refs
		p.roots[root] = d.out
	}
	progress.Report(nixspace.Progress{Job: root, Phase: "build", Done: 1, Total: 1, Final: true})
	return nil
}

// Closure implements app.Packages.
func (p *Packages) Closure(_ context.Context, paths ...string) ([]nixspace.PathInfo, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[string]bool{}
	var infos []nixspace.PathInfo
	for todo := slices.Clone(paths); len(todo) > 0; todo = todo[1:] {
		path := todo[0]
		if seen[path] {
			continue
		}
		seen[path] = true
		refs, ok := p.valid[path]
		if !ok {
			return nil, nixspace.Errorf(nixspace.KindNotFound, "path_missing", "%s is not in the store", path)
		}
		sum := sha256.Sum256([]byte(path))
		infos = append(infos, nixspace.PathInfo{
			Path: path, NarHash: "sha256:" + hex.EncodeToString(sum[:]), NarSize: int64(len(path)), References: slices.Sorted(slices.Values(refs)),
		})
		todo = append(todo, refs...)
	}
	slices.SortFunc(infos, func(a, b nixspace.PathInfo) int { return cmp.Compare(a.Path, b.Path) })
	return infos, nil
}

// Unroot implements app.Packages.
func (p *Packages) Unroot(_ context.Context, root string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.roots, root)
	return nil
}

// WriteNAR implements app.StorePaths: the content of a path is its name.
func (p *Packages) WriteNAR(_ context.Context, path string, w io.Writer) error {
	_, err := io.WriteString(w, path)
	return err
}

// AddNAR implements app.StorePaths.
func (p *Packages) AddNAR(_ context.Context, info nixspace.PathInfo, nar io.Reader) error {
	b, err := io.ReadAll(nar)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	if info.NarHash != "sha256:"+hex.EncodeToString(sum[:]) || info.NarSize != int64(len(b)) {
		return fmt.Errorf("hash mismatch importing %s", info.Path)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range info.References {
		if _, ok := p.valid[r]; !ok && r != info.Path {
			return fmt.Errorf("%s refers to %s, which is not valid", info.Path, r)
		}
	}
	if _, ok := p.valid[info.Path]; !ok {
		p.valid[info.Path] = slices.Clone(info.References)
	}
	p.offers = slices.Clone(p.offers)
	for i, o := range p.offers {
		p.offers[i].Present = o.Present || o.OutPath == info.Path
	}
	return nil
}

// ValidPaths implements app.StorePaths.
func (p *Packages) ValidPaths(_ context.Context, paths []string) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, path := range paths {
		if _, ok := p.valid[path]; ok {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Root implements app.StorePaths.
func (p *Packages) Root(_ context.Context, name, path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.roots[name] = path
	return nil
}

// Roots returns what is rooted, by name.
func (p *Packages) Roots() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.roots)
}
