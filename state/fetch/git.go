package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nixspace/nixspace"
)

const (
	gitMemory = 3 << 20 // KiB of address space that one process of git may have
	gitOutput = 4 << 20 // bytes that git may say
)

// errSize ends a fetch that is larger than allowed.
var errSize = errors.New("it is too large")

// git runs git for one fetch.
type git struct {
	f        *Fetcher
	dir      string // holds repository and home
	repo     string
	url      *url.URL
	cred     nixspace.SourceCredentials
	program  string
	user     *syscall.Credential // nil for this process's own
	env      []string
	progress nixspace.ProgressFunc
	failed   func() error // why the last connection failed
	close    []func()
}

// newGit makes an empty repository in dir, and all that git needs to reach the
// address and nothing else.
func (f *Fetcher) newGit(ctx context.Context, dir string, s nixspace.CodeSource, cred nixspace.SourceCredentials, progress nixspace.ProgressFunc) (_ *git, err error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "source_invalid", "%.80q is no address of a repository", s.URL)
	}
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "git_missing", "git is not installed on the server").WithHint("install it: apt-get install git")
	}
	g := &git{f: f, dir: dir, repo: filepath.Join(dir, "repository"), url: u, cred: cred, program: program, progress: progress}
	defer func() {
		if err != nil {
			g.end()
		}
	}()
	home := filepath.Join(dir, "home")
	g.user = gitUser(u.Scheme == "ssh", dir)
	for _, d := range []string{dir, home, g.repo} {
		if err := own(d, g.user); err != nil {
			return nil, err
		}
	}
	g.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C", "LANG=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "GIT_OPTIONAL_LOCKS=0", "GIT_PROTOCOL_FROM_USER=0", "GIT_NO_LAZY_FETCH=1",
	}
	if u.Scheme == "ssh" {
		err = g.overSSH(home)
	} else {
		err = g.overHTTP()
	}
	if err != nil {
		return nil, err
	}
	return g, g.init(ctx)
}

// init makes the repository.
func (g *git) init(ctx context.Context) error {
	if _, err := g.run(ctx, "init", "--quiet", "--template=", "--initial-branch=main", "."); err != nil {
		return err
	}
	// The highest of all attributes: what is archived is what was committed.
	info := filepath.Join(g.repo, ".git", "info")
	if err := os.MkdirAll(info, 0o755); err != nil {
		return fmt.Errorf("prepare a repository: %w", err)
	}
	if err := os.WriteFile(filepath.Join(info, "attributes"), []byte("* -export-ignore -export-subst\n"), 0o644); err != nil {
		return fmt.Errorf("prepare a repository: %w", err)
	}
	return nil
}

// settings are git's configuration, all of it. It goes by the environment: what is
// in arguments is for all of the machine to see.
func (g *git) settings(more map[string]string) {
	all := map[string]string{
		"core.hooksPath": "/dev/null", "core.fsmonitor": "false", "core.attributesFile": "/dev/null", "core.excludesFile": "/dev/null",
		"core.packedGitWindowSize": "32m", "core.packedGitLimit": "256m", "core.bigFileThreshold": "16m",
		"transfer.fsckObjects": "true", "fetch.fsckObjects": "true",
		// Mistakes of old programs, in the history of many a good repository.
		"fetch.fsck.zeroPaddedFilemode": "ignore", "fetch.fsck.missingSpaceBeforeDate": "ignore", "fetch.fsck.badTimezone": "ignore",
		"fetch.fsck.missingNameBeforeEmail": "ignore", "fetch.fsck.badDateOverflow": "ignore", "fetch.fsck.zeroPaddedDate": "ignore",
		"fetch.recurseSubmodules": "false", "submodule.recurse": "false", "fetch.unpackLimit": "1", "fetch.writeCommitGraph": "false",
		"protocol.allow": "never", "protocol.file.allow": "never", "protocol.ext.allow": "never", "protocol.version": "2",
		"gc.auto": "0", "maintenance.auto": "false", "pack.threads": "2", "advice.detachedHead": "false",
	}
	for k, v := range more {
		all[k] = v
	}
	i := 0
	for k, v := range all {
		g.env = append(g.env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, k), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, v))
		i++
	}
	g.env = append(g.env, "GIT_CONFIG_COUNT="+strconv.Itoa(i))
}

// credentialHelper answers git with what is in its environment, for the very host
// that the source names and no other, wherever a redirect leads.
const credentialHelper = `!f() { test "$1" = get || return 0; h= p=; ` +
	`while IFS= read -r l && test -n "$l"; do case $l in host=*) h=${l#host=};; protocol=*) p=${l#protocol=};; esac; done; ` +
	`test "$p://$h" = "$SOURCE_HOST" && printf 'username=%s\npassword=%s\n' "$SOURCE_USER" "$SOURCE_TOKEN"; }; f`

// overHTTP sends git through a proxy of its own.
func (g *git) overHTTP() error {
	if err := g.f.checkScheme(g.url.Scheme); err != nil {
		return err
	}
	if len(g.cred.Key) > 0 {
		return nixspace.Errorf(nixspace.KindInvalid, "source_credentials", "a deploy key opens repositories over ssh only").
			WithHint("give the address as ssh://git@%s%s", g.url.Host, g.url.Path)
	}
	proxy, err := g.f.cfg.Policy.Serve()
	if err != nil {
		return err
	}
	g.close = append(g.close, func() { _ = proxy.Close() })
	g.failed = proxy.Err
	set := map[string]string{
		"http.proxy": proxy.URL().String(), "http.proxyAuthMethod": "basic", "http.followRedirects": "initial", "http.sslVerify": "true",
		"http.lowSpeedLimit": "1000", "http.lowSpeedTime": "60", "http.emptyAuth": "false", "http.cookieFile": "", "http.saveCookies": "false",
		"protocol.https.allow": "always",
	}
	if g.f.cfg.Policy.Inside() {
		set["protocol.http.allow"] = "always"
	}
	if g.f.cfg.CAFile != "" {
		set["http.sslCAInfo"] = g.f.cfg.CAFile
	}
	if g.cred.Token != "" {
		if strings.ContainsAny(g.cred.Token+g.cred.User, "\r\n\x00") {
			return nixspace.Errorf(nixspace.KindInvalid, "source_credentials", "the token has a line break in it")
		}
		set["credential.helper"] = credentialHelper
		g.env = append(g.env, "SOURCE_HOST="+g.url.Scheme+"://"+g.url.Host,
			"SOURCE_USER="+nixspace.GitTokenUser(g.url.Hostname(), g.cred.User), "SOURCE_TOKEN="+g.cred.Token)
	}
	g.settings(set)
	return nil
}

// end frees what the fetch took, but for its directory.
func (g *git) end() {
	for _, f := range g.close {
		f()
	}
}

// run runs git in the repository and returns what it says. Its arguments hold no
// credentials.
func (g *git) run(ctx context.Context, args ...string) ([]byte, error) {
	var out capped
	out.room = gitOutput
	err := g.start(ctx, &out, args...)
	return out.b.Bytes(), err
}

// start runs git and writes what it says to w.
func (g *git) start(ctx context.Context, w io.Writer, args ...string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limited := []string{"-c", `ulimit -c 0; ulimit -v "$0" || exit 126; exec "$@"`, strconv.Itoa(gitMemory), g.program}
	cmd := exec.CommandContext(ctx, "/bin/sh", append(limited, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout = g.repo, g.env, w
	said := &gitTalk{progress: g.progress}
	cmd.Stderr = said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: g.user}
	// Its children end with it: they are a process group.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run git: %w", err)
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		g.watch(ctx, cancel)
	}()
	err := cmd.Wait()
	cancel(nil)
	<-watched
	if err == nil {
		return nil
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whatever is left of the group
	if errors.Is(context.Cause(ctx), errSize) {
		return errSize
	}
	return g.explain(said.text(), err)
}

// watch ends a fetch that grows too large.
func (g *git) watch(ctx context.Context, end context.CancelCauseFunc) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if g.size() > g.f.cfg.Limits.Bytes {
				end(errSize)
				return
			}
		}
	}
}

// size returns how many bytes the repository has.
func (g *git) size() (n int64) {
	_ = filepath.WalkDir(filepath.Join(g.repo, ".git"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it may be gone meanwhile
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// own gives a directory, which it makes if needed, to a user.
func own(dir string, user *syscall.Credential) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return diskError(fmt.Errorf("make a directory for a fetch: %w", err))
	}
	if user == nil {
		return nil
	}
	if err := os.Lchown(dir, int(user.Uid), int(user.Gid)); err != nil {
		return fmt.Errorf("prepare a directory for a fetch: %w", err)
	}
	return nil
}

// capped keeps what is written, up to a bound.
type capped struct {
	b    bytes.Buffer
	room int
}

func (c *capped) Write(p []byte) (int, error) {
	if c.room -= len(p); c.room < 0 {
		return 0, errors.New("it says too much")
	}
	return c.b.Write(p)
}

// gitTalk takes what git says to people: progress, and at last what is wrong.
type gitTalk struct {
	progress nixspace.ProgressFunc
	mu       sync.Mutex
	line     []byte
	lines    []string // the last that are no progress
}

func (t *gitTalk) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range p {
		if c != '\n' && c != '\r' {
			if len(t.line) < 1000 {
				t.line = append(t.line, c)
			}
			continue
		}
		t.take(strings.TrimSpace(string(t.line)))
		t.line = t.line[:0]
	}
	return len(p), nil
}

func (t *gitTalk) take(line string) {
	if p, ok := parseProgress(line); ok {
		t.progress.Report(p)
		return
	}
	if line == "" {
		return
	}
	if len(t.lines) >= 40 {
		t.lines = t.lines[1:]
	}
	t.lines = append(t.lines, line)
}

func (t *gitTalk) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.line) > 0 {
		t.take(strings.TrimSpace(string(t.line)))
		t.line = nil
	}
	return strings.Join(t.lines, "\n")
}

// phases are those of git's that take long, in the words of progress.
var phases = map[string]string{
	"Counting objects": "count", "Compressing objects": "compress", "Receiving objects": "receive", "Resolving deltas": "resolve",
}

// parseProgress reads a line such as "Receiving objects:  45% (123/456), 1.2 MiB".
func parseProgress(line string) (nixspace.Progress, bool) {
	line = strings.TrimPrefix(line, "remote: ")
	what, rest, ok := strings.Cut(line, ":")
	phase := phases[what]
	if !ok || phase == "" {
		return nixspace.Progress{}, false
	}
	_, counts, ok := strings.Cut(rest, "(")
	counts, _, ok2 := strings.Cut(counts, ")")
	a, b, ok3 := strings.Cut(counts, "/")
	done, err1 := strconv.ParseInt(a, 10, 64)
	total, err2 := strconv.ParseInt(b, 10, 64)
	if !ok || !ok2 || !ok3 || err1 != nil || err2 != nil {
		return nixspace.Progress{}, false
	}
	return nixspace.Progress{Job: "source", Phase: phase, Done: done, Total: total, Final: strings.HasSuffix(line, "done.")}, true
}
