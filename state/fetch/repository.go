package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/nixspace/nixspace"
)

// repository stores the code of a repository, with its history where that is
// small enough. There is never a work tree here: git writes the tree as a tar.
func (f *Fetcher) repository(ctx context.Context, s nixspace.CodeSource, cred nixspace.SourceCredentials, progress nixspace.ProgressFunc) (*nixspace.FetchedCode, error) {
	dir, remove, err := f.workDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	g, err := f.newGit(ctx, dir, s, cred, progress)
	if err != nil {
		return nil, err
	}
	defer g.end()
	t, err := g.resolve(ctx, s)
	if err != nil {
		return nil, err
	}
	commit, err := g.fetch(ctx, t)
	if err != nil {
		return nil, err
	}
	what := commit
	if t.dir != "" {
		if what, err = g.folder(ctx, commit, t.dir); err != nil {
			return nil, err
		}
	}
	var extra []string
	keep := t.dir == ""
	if keep {
		if n := g.size(); n > f.cfg.History {
			keep = false
			extra = append(extra, fmt.Sprintf("the history is left out: it has %d MiB, of %d", n>>20, f.cfg.History>>20))
		}
	} else {
		extra = append(extra, "the history is left out, because a folder of the repository was taken")
	}
	if keep {
		if _, err := g.run(ctx, "read-tree", commit); err != nil {
			return nil, err
		}
	}
	progress.Report(nixspace.Progress{Job: "source", Phase: "store"})
	out, err := f.store(ctx, func(t2 *tree) error {
		if err := g.archive(ctx, t2, what); err != nil {
			return err
		}
		if s.Submodules {
			t2.fetched = true
			m := &modules{f: f, ctx: ctx, dir: dir, out: t2, of: s, cred: cred, progress: progress}
			if err := m.add(g, commit, t.dir, "", 0); err != nil {
				return err
			}
		}
		if !keep {
			return nil
		}
		return g.history(t2, t, commit)
	})
	if err != nil {
		return nil, err
	}
	progress.Report(nixspace.Progress{Job: "source", Phase: "store", Final: true})
	out.Commit, out.Ref, out.Dir, out.History = commit, t.full, t.dir, keep
	out.Notes = append(extra, out.Notes...)
	return out, nil
}

// folder returns the tree of a folder of a commit.
func (g *git) folder(ctx context.Context, commit, dir string) (string, error) {
	out, err := g.run(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", commit+":"+dir)
	object := strings.TrimSpace(string(out))
	if err == nil && isCommit(object) {
		if kind, kerr := g.run(ctx, "cat-file", "-t", object); kerr == nil && strings.TrimSpace(string(kind)) == "tree" {
			return object, nil
		}
	}
	if ctx.Err() != nil {
		return "", err
	}
	return "", nixspace.Errorf(nixspace.KindNotFound, "source_folder_unknown", "the repository %s has no folder %q", g.url, dir)
}

// archive writes a commit's tree, or another one.
func (g *git) archive(ctx context.Context, t *tree, object string) error {
	return g.archiveAs(ctx, t, object, func(name string) string { return name })
}

// archiveAs writes it under other names.
func (g *git) archiveAs(ctx context.Context, t *tree, object string, as func(string) string) error {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := g.start(ctx, w, "archive", "--format=tar", object)
		w.CloseWithError(err)
		done <- err
	}()
	err := t.addTar(r, true, func(name string) string {
		if name = strings.TrimSuffix(name, "/"); name == "" || name == ".git" || strings.HasPrefix(name, ".git/") {
			return ""
		}
		return as(name)
	})
	if err == nil {
		_, err = io.Copy(io.Discard, r) // its padding
	}
	_ = r.CloseWithError(errStored)
	if gerr := <-done; gerr != nil && err == nil {
		err = gerr
	}
	return err
}

// history writes the .git folder of a clone: the objects, and the few files that
// make a repository of them. They are written here and not taken over: what is
// fetched decides nothing that git does later.
func (g *git) history(t *tree, what target, commit string) error {
	root, err := os.OpenRoot(filepath.Join(g.repo, ".git"))
	if err != nil {
		return fmt.Errorf("read a repository: %w", err)
	}
	defer root.Close()
	branch := what.branch()
	head, refs := commit+"\n", "# pack-refs with: peeled fully-peeled sorted \n"
	config := "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n" +
		"[remote \"origin\"]\n\turl = " + quote(g.url.String()) + "\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
	switch {
	case branch != "":
		head = "ref: refs/heads/" + branch + "\n"
		refs += commit + " refs/heads/" + branch + "\n" + commit + " refs/remotes/origin/" + branch + "\n"
		config += "[branch " + quote(branch) + "]\n\tremote = origin\n\tmerge = " + quote("refs/heads/"+branch) + "\n"
	case strings.HasPrefix(what.full, "refs/tags/"):
		refs += commit + " " + what.full + "\n"
	}
	files := []struct{ name, content string }{{"HEAD", head}, {"config", config}, {"packed-refs", refs}, {"description", "a clone that NixSpace made\n"}}
	for _, f := range files {
		if err := t.file(".git/"+f.name, int64(len(f.content)), false, strings.NewReader(f.content)); err != nil {
			return err
		}
	}
	for _, dir := range []string{".git/refs", ".git/refs/heads", ".git/refs/tags", ".git/objects", ".git/objects/info", ".git/objects/pack"} {
		if err := t.dir(dir); err != nil {
			return err
		}
	}
	for _, name := range []string{"shallow", "index"} {
		if err := copyFile(t, root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fs.WalkDir(root.FS(), "objects", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "objects/info/alternates" || strings.HasPrefix(path.Base(name), "tmp_") {
			return err
		}
		return copyFile(t, root, name)
	})
}

// copyFile copies a regular file. Root does not leave its directory.
func copyFile(t *tree, root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.file(".git/"+name, info.Size(), false, f)
}

// quote writes a value as git's configuration has it.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove what a fetch left: %w", err)
	}
	return nil
}
