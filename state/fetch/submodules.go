package fetch

import (
	"bytes"
	"context"
	"errors"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

// The bounds of submodules.
const (
	maxModules     = 32 // of one fetch, those of submodules included
	maxModuleLevel = 3
)

// modules fetches submodules into one tree.
type modules struct {
	f        *Fetcher
	ctx      context.Context //nolint:containedctx // it lives as long as one fetch
	dir      string          // for their repositories
	out      *tree
	of       nixspace.CodeSource
	cred     nixspace.SourceCredentials
	progress nixspace.ProgressFunc
	count    int
}

// module is a submodule as a commit has it.
type module struct {
	path, address, commit string
}

// add puts the submodules of a commit into the tree: those below dir, which is the root
// of the tree or of a submodule in it, at prefix. Each is fetched as a source of its
// own, with all that is checked there, and without history.
func (m *modules) add(g *git, commit, dir, prefix string, level int) error {
	found, err := m.list(g, commit)
	if err != nil {
		return err
	}
	for _, sub := range found {
		at := sub.path
		if dir != "" {
			rest, below := strings.CutPrefix(sub.path, dir+"/")
			if !below {
				continue
			}
			at = rest
		}
		if m.count++; m.count > maxModules || level >= maxModuleLevel {
			return nixspace.Errorf(nixspace.KindLimit, "submodules_too_many", "the code has more than %d submodules, or nests them more than %d levels deep", maxModules, maxModuleLevel).
				WithHint("fetch it without --submodules")
		}
		if err := m.fetch(g, sub, path.Join(prefix, at), level); err != nil {
			return moduleError(sub, err)
		}
	}
	return nil
}

// list reads what a commit says of its submodules. .gitmodules is data here: git reads
// it as configuration, of which only paths and addresses are taken.
func (m *modules) list(g *git, commit string) ([]module, error) {
	out, err := g.run(m.ctx, "config", "--null", "--blob", commit+":.gitmodules", "--get-regexp", `^submodule\..*\.(path|url)$`)
	if err != nil {
		if m.ctx.Err() != nil {
			return nil, err
		}
		return nil, nil // there is none, or nothing in it
	}
	paths, addresses, names := map[string]string{}, map[string]string{}, []string{}
	for entry := range bytes.SplitSeq(out, []byte{0}) {
		key, value, _ := strings.Cut(string(entry), "\n")
		name, ok := strings.CutPrefix(key, "submodule.")
		if !ok {
			continue
		}
		if n, ok := strings.CutSuffix(name, ".path"); ok {
			paths[n] = value
			names = append(names, n)
		} else if n, ok := strings.CutSuffix(name, ".url"); ok {
			addresses[n] = value
		}
	}
	var all []module
	for _, n := range names {
		p, address := paths[n], addresses[n]
		if address == "" || !filepath.IsLocal(p) || p != path.Clean(p) || p == "." || strings.HasPrefix(p, ".git/") || p == ".git" {
			continue
		}
		// A folder is a submodule where the commit itself says so: "160000 commit SHA\tPATH".
		entry, err := g.run(m.ctx, "ls-tree", "-z", "--full-tree", commit, "--", p)
		if err != nil {
			return nil, err
		}
		fields := strings.Fields(string(entry))
		if len(fields) < 4 || fields[0] != "160000" || !isCommit(fields[2]) {
			continue
		}
		all = append(all, module{path: p, address: address, commit: fields[2]})
	}
	return all, nil
}

// fetch fetches one, and those in it.
func (m *modules) fetch(parent *git, sub module, at string, level int) error {
	address, err := m.f.moduleAddress(parent.url.String(), sub.address)
	if err != nil {
		return err
	}
	src := nixspace.CodeSource{Kind: nixspace.SourceGit, URL: address, Ref: sub.commit}
	dir := filepath.Join(m.dir, "module-"+strconv.Itoa(m.count))
	// What opens the source is for its own host, and for no other that it names.
	cred := nixspace.SourceCredentials{}
	if sameHost(m.of.URL, address) {
		cred = m.cred
	}
	if err := own(dir, nil); err != nil {
		return err
	}
	defer func() { _ = removeAll(dir) }()
	alone := &Fetcher{cfg: m.f.cfg}
	alone.cfg.Depth = 1
	g, err := alone.newGit(m.ctx, dir, src, cred, m.progress)
	if err != nil {
		return err
	}
	defer g.end()
	t, err := g.resolve(m.ctx, src)
	if err != nil {
		return err
	}
	commit, err := g.fetch(m.ctx, t)
	if err != nil {
		return err
	}
	if err := g.archiveAt(m.ctx, m.out, commit, at); err != nil {
		return err
	}
	return m.add(g, commit, "", at, level+1)
}

// moduleAddress returns the address of a submodule, which may be relative to its
// parent's.
func (f *Fetcher) moduleAddress(parent, address string) (string, error) {
	if strings.HasPrefix(address, "./") || strings.HasPrefix(address, "../") {
		scheme, rest, ok := strings.Cut(parent, "://")
		host, at, ok2 := strings.Cut(rest, "/")
		if joined := path.Join("/", at, address); ok && ok2 && joined != "/" {
			address = scheme + "://" + host + joined
		}
	}
	if f.cfg.Parse == nil {
		return "", nixspace.Errorf(nixspace.KindUnavailable, "sources_unavailable", "this server fetches no submodules")
	}
	s, err := f.cfg.Parse(address)
	if err != nil {
		return "", err
	}
	if s.Kind != nixspace.SourceGit || s.Ref != "" || s.Path != "" || s.Dir != "" {
		return "", nixspace.Errorf(nixspace.KindInvalid, "source_invalid", "%.200q is no address of a repository", address)
	}
	return s.URL, nil
}

// sameHost reports whether two addresses are of the same server, reached alike.
func sameHost(a, b string) bool {
	part := func(s string) string {
		scheme, rest, _ := strings.Cut(s, "://")
		host, _, _ := strings.Cut(rest, "/")
		return scheme + "://" + strings.ToLower(host)
	}
	return part(a) == part(b)
}

// moduleError says of which submodule an error is.
func moduleError(sub module, err error) error {
	var known *nixspace.Error
	if !errors.As(err, &known) || strings.HasPrefix(known.Message, "the submodule ") {
		return err
	}
	e := nixspace.Errorf(known.Kind, known.Code, "the submodule %s cannot be fetched: %s", sub.path, known.Message)
	if known.Hint != "" {
		e = e.WithHint("%s", known.Hint)
	}
	return e
}

// archiveAt writes a commit's tree below a folder of the tree.
func (g *git) archiveAt(ctx context.Context, t *tree, object, at string) error {
	return g.archiveAs(ctx, t, object, func(name string) string { return path.Join(at, name) })
}
