package pack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

// How much of a repository's history goes along.
const (
	historyDepth = 50        // commits
	historySize  = 128 << 20 // bytes; a larger one is left out
	repackSize   = 32 << 20  // bytes; a smaller one is packed so that equal histories are equal files
)

// Repository is [Dir], and where dir is the top of a git work tree, its last commits
// go along as a repository of their own, in .git. That is made here: of the folder's
// own .git nothing is copied but objects, the name of the branch, and the addresses of
// remotes without what opens them. Hooks, other configuration, other branches, the
// stash and what is staged stay where they are.
func Repository(ctx context.Context, dir string, w io.Writer, limits nixspace.CodeLimits) (Stats, error) {
	h, err := newHistory(ctx, dir)
	if err != nil {
		return Stats{}, err
	}
	if h != nil {
		defer h.remove()
	}
	var st Stats
	root, err := os.OpenRoot(dir)
	if err != nil {
		return st, openError(dir, err)
	}
	defer root.Close()
	limits = limits.WithDefaults()
	names, git, err := list(ctx, dir, root, limits)
	if err != nil {
		return st, err
	}
	st.Git = git
	return st, write(ctx, root.FS(), names, w, &st, limits, h)
}

// history is a small repository that was made of another one.
type history struct {
	repo   string // bare, in a folder of its own
	commit string
	note   string // why there is none after all
	branch string // empty for a detached head
	config string
	refs   string // as packed-refs has them
}

func (h *history) remove() { _ = os.RemoveAll(filepath.Dir(h.repo)) }

// git runs git with no configuration but its own and the repository's, and with
// nothing of a repository's that is a program.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "GIT_") })
	settings := [][2]string{
		{"core.fsmonitor", "false"},
		{"core.hooksPath", "/dev/null"},
		{"protocol.allow", "never"},
		{"protocol.file.allow", "always"},
		{"safe.directory", "*"},
		{"gc.auto", "0"},
		{"maintenance.auto", "false"},
		{"pack.threads", "1"},
		{"credential.helper", ""},
		{"core.pager", "cat"},
	}
	env = append(env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "GIT_OPTIONAL_LOCKS=0",
		"GIT_CONFIG_COUNT="+strconv.Itoa(len(settings)))
	for i, s := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, s[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, s[1]))
	}
	cmd.Env = env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// newHistory makes the history of a work tree; nil where dir is not the top of one, or
// has no commit.
func newHistory(ctx context.Context, dir string) (*history, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return nil, openError(dir, err)
	}
	top, err := git(ctx, abs, "rev-parse", "--show-toplevel")
	if err != nil || top != abs {
		return nil, ctx.Err() //nolint:nilerr // it is no work tree, or git is not here
	}
	commit, err := git(ctx, abs, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if err != nil {
		return nil, ctx.Err() //nolint:nilerr // nothing was committed yet
	}
	tmp, err := os.MkdirTemp("", "nixspace-history-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the history: %w", err)
	}
	h := &history{repo: filepath.Join(tmp, "repo"), commit: commit}
	if err := h.fetch(ctx, abs); err != nil {
		if ctx.Err() != nil {
			h.remove()
			return nil, ctx.Err()
		}
		h.note = "the history is left out: " + err.Error()
	}
	return h, nil
}

// fetch copies the last commits, and what is known of branch and remotes.
func (h *history) fetch(ctx context.Context, dir string) error {
	if err := os.Mkdir(h.repo, 0o700); err != nil {
		return err
	}
	const ref = "refs/nixspace/head"
	for _, args := range [][]string{
		{"init", "--quiet", "--bare", "--template="},
		{"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--depth=" + strconv.Itoa(historyDepth), "file://" + dir, "+HEAD:" + ref},
	} {
		if _, err := git(ctx, h.repo, args...); err != nil {
			return err
		}
	}
	if got, err := git(ctx, h.repo, "rev-parse", ref); err != nil || got != h.commit {
		return errors.Join(errors.New("somebody committed just now"), err)
	}
	n, err := size(filepath.Join(h.repo, "objects"))
	if err != nil {
		return err
	}
	if n > historySize {
		return fmt.Errorf("it has %d MiB, of %d", n>>20, historySize>>20)
	}
	if n <= repackSize {
		if _, err := git(ctx, h.repo, "repack", "-q", "-a", "-d", "-f", "--threads=1"); err != nil {
			return err
		}
	}
	if _, err := git(ctx, h.repo, "read-tree", h.commit); err != nil {
		return err
	}
	h.branch, _ = git(ctx, dir, "symbolic-ref", "--short", "--quiet", "HEAD") // it fails for a detached head
	h.remotes(ctx, dir)
	return nil
}

var remoteName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// remotes takes over the addresses of remotes, and where the branch stood there.
func (h *history) remotes(ctx context.Context, dir string) {
	var refs []string
	config := "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
	all, _ := git(ctx, dir, "config", "--local", "--get-regexp", `^remote\..*\.url$`) // it fails where there is none
	seen := map[string]bool{}
	for line := range strings.Lines(all) {
		key, address, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		name := strings.TrimSuffix(strings.TrimPrefix(key, "remote."), ".url")
		plain := plainAddress(address)
		if !remoteName.MatchString(name) || plain == "" || seen[name] {
			continue
		}
		seen[name] = true
		config += "[remote " + quote(name) + "]\n\turl = " + quote(plain) + "\n\tfetch = " + quote("+refs/heads/*:refs/remotes/"+name+"/*") + "\n"
		if h.branch == "" {
			continue
		}
		there := "refs/remotes/" + name + "/" + h.branch
		if at, err := git(ctx, dir, "rev-parse", "--verify", "--quiet", there+"^{commit}"); err == nil {
			if _, err := git(ctx, h.repo, "cat-file", "-e", at); err == nil {
				refs = append(refs, at+" "+there)
			}
		}
	}
	if h.branch != "" {
		refs = append(refs, h.commit+" refs/heads/"+h.branch)
		if up, err := git(ctx, dir, "config", "--local", "branch."+h.branch+".remote"); err == nil && seen[up] {
			config += "[branch " + quote(h.branch) + "]\n\tremote = " + quote(up) + "\n\tmerge = " + quote("refs/heads/"+h.branch) + "\n"
		}
	}
	slices.SortFunc(refs, func(a, b string) int { return strings.Compare(a[strings.Index(a, " "):], b[strings.Index(b, " "):]) })
	h.config, h.refs = config, "# pack-refs with: peeled fully-peeled sorted \n"
	for _, r := range refs {
		h.refs += r + "\n"
	}
}

// plainAddress returns the address of a remote without a password or a token; empty
// for what is no address of another machine.
func plainAddress(s string) string {
	if scp := regexp.MustCompile(`^([A-Za-z0-9_.-]+@)?[A-Za-z0-9.-]+:[^:/\\][^\x00-\x20]*$`); !strings.Contains(s, "://") && scp.MatchString(s) {
		return s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || !slices.Contains([]string{"https", "http", "ssh", "git"}, u.Scheme) {
		return ""
	}
	if user := u.User; user != nil {
		u.User = nil
		if u.Scheme == "ssh" && user.Username() != "" {
			u.User = url.User(user.Username())
		}
	}
	u.RawQuery, u.Fragment = "", ""
	return u.String()
}

// quote writes a value as git's configuration has it.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

func size(dir string) (int64, error) {
	var n int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// write puts the repository into an archive, as .git.
func (h *history) write(t *tar.Writer) error {
	file := func(name string, b []byte) error {
		if err := t.WriteHeader(&tar.Header{Name: ".git/" + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(b)), ModTime: epoch, Format: tar.FormatPAX}); err != nil {
			return fmt.Errorf("write archive: %w", err)
		}
		_, err := t.Write(b)
		return err
	}
	head := h.commit + "\n"
	if h.branch != "" {
		head = "ref: refs/heads/" + h.branch + "\n"
	}
	for _, f := range [][2]string{{"HEAD", head}, {"config", h.config}, {"packed-refs", h.refs}, {"description", "a copy that NixSpace made\n"}} {
		if err := file(f[0], []byte(f[1])); err != nil {
			return err
		}
	}
	for _, dir := range []string{"refs", "refs/heads", "refs/tags", "objects", "objects/info", "objects/pack"} {
		if err := t.WriteHeader(&tar.Header{Name: ".git/" + dir + "/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: epoch, Format: tar.FormatPAX}); err != nil {
			return fmt.Errorf("write archive: %w", err)
		}
	}
	for _, name := range []string{"shallow", "index"} {
		b, err := os.ReadFile(filepath.Join(h.repo, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = file(name, b)
		}
		if err != nil {
			return err
		}
	}
	return fs.WalkDir(os.DirFS(h.repo), "objects", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path.Dir(name) == "objects/info" || strings.HasPrefix(path.Base(name), "tmp_") {
			return err
		}
		b, err := os.ReadFile(filepath.Join(h.repo, name))
		if err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
		return file(name, b)
	})
}
