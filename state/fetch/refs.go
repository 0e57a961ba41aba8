package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nixspace/nixspace"
)

// target is what is to be fetched of a repository.
type target struct {
	full   string // of a reference, "refs/heads/main"; empty for a commit
	commit string // in hexadecimal; perhaps shortened where full is empty
	dir    string
}

// branch returns the short name of a branch, or "".
func (t target) branch() string {
	b, _ := strings.CutPrefix(t.full, "refs/heads/")
	if b == t.full {
		return ""
	}
	return b
}

// resolve asks the server which reference the source means. Only those that it may
// mean are asked for: a server may have a hundred thousand.
func (g *git) resolve(ctx context.Context, s nixspace.CodeSource) (target, error) {
	short := candidates(s)
	patterns := []string{"HEAD"}
	for _, c := range short {
		if strings.HasPrefix(c, "refs/") {
			patterns = append(patterns, c)
			continue
		}
		patterns = append(patterns, "refs/heads/"+c, "refs/tags/"+c)
	}
	out, err := g.run(ctx, append([]string{"ls-remote", "--symref", "--", g.url.String()}, patterns...)...)
	if err != nil {
		return target{}, err
	}
	refs, head := parseRefs(out)
	if len(short) == 0 {
		switch {
		case head != "" && refs["HEAD"] != "":
			return target{full: head, dir: s.Dir}, nil
		case refs["HEAD"] != "":
			return target{full: "HEAD", dir: s.Dir}, nil
		}
		return target{}, nixspace.Errorf(nixspace.KindNotFound, "source_empty", "the repository %s is empty", g.url)
	}
	for _, c := range short {
		for _, full := range []string{c, "refs/heads/" + c, "refs/tags/" + c} {
			if strings.HasPrefix(full, "refs/") && refs[full] != "" {
				return target{full: full, dir: join(s, c)}, nil
			}
		}
	}
	for _, c := range short {
		if isCommit(c) {
			return target{commit: c, dir: join(s, c)}, nil
		}
	}
	if s.Pull > 0 {
		return target{}, nixspace.Errorf(nixspace.KindNotFound, "ref_unknown", "the repository %s has no pull request %d", g.url, s.Pull)
	}
	return target{}, nixspace.Errorf(nixspace.KindNotFound, "ref_unknown", "the repository %s has no branch, tag or commit %q", g.url, short[0])
}

// candidates are what a source may mean, in the order in which they are tried. Of
// a path, the reference may be any beginning.
func candidates(s nixspace.CodeSource) []string {
	if s.Path == "" {
		if s.Ref == "" || s.Ref == "HEAD" {
			return nil
		}
		return []string{s.Ref}
	}
	parts := strings.Split(s.Path, "/")
	var out []string
	for n := min(len(parts), 12); n > 0; n-- {
		out = append(out, strings.Join(parts[:n], "/"))
	}
	return out
}

// join returns the folder that a source means, where its reference is ref.
func join(s nixspace.CodeSource, ref string) string {
	if s.Path == "" {
		return s.Dir
	}
	return strings.Trim(strings.TrimPrefix(s.Path, ref), "/")
}

// isCommit reports whether text can be the name of a commit, whole or shortened.
func isCommit(text string) bool {
	return len(text) >= 7 && len(text) <= 40 && strings.Trim(text, "0123456789abcdef") == ""
}

// parseRefs reads what git ls-remote --symref says: references with their objects,
// and the name of the branch that HEAD is.
func parseRefs(out []byte) (refs map[string]string, head string) {
	refs = map[string]string{}
	for line := range strings.Lines(string(out)) {
		object, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			continue
		}
		if symbolic, ok := strings.CutPrefix(object, "ref: "); ok {
			if name == "HEAD" && strings.HasPrefix(symbolic, "refs/heads/") && safeRef(symbolic) {
				head = symbolic
			}
			continue
		}
		if isCommit(object) && (name == "HEAD" || safeRef(name)) {
			refs[name] = object
		}
	}
	return refs, head
}

// safeRef reports whether the name of a reference, which a server gave, can be
// used in an argument and in a file of git's.
func safeRef(name string) bool {
	return strings.HasPrefix(name, "refs/") && len(name) < 300 && !strings.Contains(name, "..") && !strings.Contains(name, "//") &&
		!strings.HasSuffix(name, "/") && !strings.HasSuffix(name, ".lock") &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("~^:?*[\\\"", r) })
}

// local is where what was fetched is kept.
const local = "refs/nixspace/fetched"

// fetch fetches the target and returns its commit. It tries less history where
// more is too much, or where the server cannot.
func (g *git) fetch(ctx context.Context, t target) (string, error) {
	want := t.full
	if want == "" {
		want = t.commit
		if len(want) < 40 {
			full, err := g.search(ctx, want)
			if err != nil {
				return "", err
			}
			want = full
		}
	}
	spec := "+" + want + ":" + local
	err := g.fetchSpecs(ctx, g.f.cfg.Depth, spec)
	if errors.Is(err, errSize) && g.f.cfg.Depth > 1 {
		if err := g.restart(ctx); err != nil {
			return "", err
		}
		err = g.fetchSpecs(ctx, 1, spec)
	}
	switch nixspace.ErrorCode(err) {
	case codeNoShallow:
		err = g.fetchSpecs(ctx, 0, spec)
	case codeNoCommit:
		// A server that gives no commit by its name may give it with its branches.
		if t.full == "" {
			if err = g.fetchSpecs(ctx, 0, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"); err == nil {
				_, err = g.run(ctx, "update-ref", local, want)
			}
			if err != nil && !errors.Is(err, errSize) && ctx.Err() == nil {
				err = nixspace.Errorf(nixspace.KindNotFound, "ref_unknown", "the repository %s has no commit %s", g.url, t.commit)
			}
		}
	}
	if errors.Is(err, errSize) {
		return "", g.f.tooLarge()
	}
	if err != nil {
		return "", err
	}
	out, err := g.run(ctx, "rev-parse", "--verify", "--quiet", local+"^{commit}")
	commit := strings.TrimSpace(string(out))
	if err != nil || !isCommit(commit) {
		return "", nixspace.Errorf(nixspace.KindInvalid, "ref_invalid", "%s of %s is no commit", want, g.url)
	}
	return commit, nil
}

func (g *git) fetchSpecs(ctx context.Context, depth int, specs ...string) error {
	args := []string{"fetch", "--progress", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance"}
	if depth > 0 {
		args = append(args, fmt.Sprintf("--depth=%d", depth))
	}
	_, err := g.run(ctx, append(append(args, "--", g.url.String()), specs...)...)
	return err
}

// restart throws away what was fetched.
func (g *git) restart(ctx context.Context) error {
	keep := g.repo
	g.repo = g.repo + "-again"
	if err := own(g.repo, g.user); err != nil {
		return err
	}
	if err := removeAll(keep); err != nil {
		return err
	}
	return g.init(ctx)
}

// search finds the whole name of a commit by fetching all commits and nothing else.
func (g *git) search(ctx context.Context, short string) (string, error) {
	unknown := nixspace.Errorf(nixspace.KindNotFound, "ref_unknown", "the repository %s has no branch, tag or commit %q", g.url, short)
	args := []string{
		"fetch", "--progress", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--filter=tree:0", "--",
		g.url.String(), "+refs/heads/*:refs/nixspace/search/*",
	}
	if _, err := g.run(ctx, args...); err != nil {
		if errors.Is(err, errSize) {
			return "", g.f.tooLarge()
		}
		return "", err
	}
	out, err := g.run(ctx, "rev-parse", "--verify", "--quiet", short+"^{commit}")
	full := strings.TrimSpace(string(out))
	if ctx.Err() != nil {
		return "", err
	}
	if err != nil || len(full) != 40 {
		return "", unknown
	}
	return full, g.restart(ctx)
}
