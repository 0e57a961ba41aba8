package registry

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/catalog/debian"
)

// Apt is Debian's package client for one suite, with index, cache and
// configuration of its own: it neither reads nor changes what is installed on
// the machine. Use it from one goroutine at a time.
type Apt struct {
	suite  string
	dir    string
	mirror string
}

// NewApt returns a client for a suite ("trixie") that keeps its files under
// dir. The mirror is the base address of a Debian mirror; when empty the
// machine's own apt sources say where Debian is.
func NewApt(dir, suite, mirror string) *Apt {
	return &Apt{suite: suite, dir: dir, mirror: mirror}
}

// Deb names one version of a binary package.
type Deb struct {
	Package, Version, Arch string
}

// FileName is how apt-get download names the file.
func (d Deb) FileName() string {
	quote := func(s string) string {
		return strings.NewReplacer("%", "%25", ":", "%3a", "_", "%5f").Replace(s)
	}
	return quote(d.Package) + "_" + quote(d.Version) + "_" + d.Arch + ".deb"
}

func (a *Apt) env() []string { return []string{"APT_CONFIG=" + filepath.Join(a.dir, "apt.conf")} }

func (a *Apt) listed() bool {
	names, err := filepath.Glob(filepath.Join(a.dir, "lists", "*_Packages*"))
	return err == nil && len(names) > 0
}

// Refresh fetches the suite's package index anew. Apt checks its signature.
func (a *Apt) Refresh(ctx context.Context) error {
	if err := a.configure(ctx); err != nil {
		return err
	}
	_, err := output(ctx, a.dir, a.env(), "apt-get", "update", "-q", "--error-on=any")
	return err
}

func (a *Apt) prepare(ctx context.Context) error {
	if a.listed() {
		return a.configure(ctx)
	}
	return a.Refresh(ctx)
}

// configure writes the private configuration. It takes over how the machine
// reaches its mirrors (proxies, certificates), and no hooks, pins or sources.
func (a *Apt) configure(ctx context.Context) error {
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return fmt.Errorf("prepare apt: %w", err)
		}
	}
	acquire, err := output(ctx, a.dir, nil, "apt-config", "dump", "Acquire")
	if err != nil {
		return err
	}
	sources, err := a.sources(ctx)
	if err != nil {
		return err
	}
	var conf bytes.Buffer
	conf.Write(acquire)
	for _, kv := range [][2]string{
		{"Dir::Etc::main", "/dev/null"},
		{"Dir::Etc::parts", "/dev/null"},
		{"Dir::Etc::sourcelist", filepath.Join(a.dir, "sources.list")},
		{"Dir::Etc::sourceparts", "/dev/null"},
		{"Dir::Etc::preferences", "/dev/null"},
		{"Dir::Etc::preferencesparts", "/dev/null"},
		{"Dir::State", a.dir},
		{"Dir::State::lists", filepath.Join(a.dir, "lists")},
		{"Dir::State::status", filepath.Join(a.dir, "status")},
		{"Dir::Cache", filepath.Join(a.dir, "cache")},
		{"Dir::Log", a.dir},
		{"Acquire::Languages", "none"},
		{"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false"},
		{"Acquire::IndexTargets::deb::CNF::DefaultEnabled", "false"},
		{"Acquire::Retries", "3"},
		{"APT::Architecture", "amd64"},
		// apt's download user cannot write to a state directory that only its
		// owner enters; what it fetches is checked by hash anyway.
		{"APT::Sandbox::User", "root"},
	} {
		fmt.Fprintf(&conf, "%s %q;\n", kv[0], kv[1])
	}
	conf.WriteString("APT::Architectures { \"amd64\"; };\n")
	for name, content := range map[string][]byte{"apt.conf": conf.Bytes(), "sources.list": sources, "status": nil} {
		if err := os.WriteFile(filepath.Join(a.dir, name), content, 0o644); err != nil {
			return fmt.Errorf("prepare apt: %w", err)
		}
	}
	return nil
}

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

var codename = regexp.MustCompile(`^[a-z]+(-updates|-security)?$`)

// sources renders the machine's Debian sources with the suite in place of the
// machine's own. Vendors' other sources are left out.
func (a *Apt) sources(ctx context.Context) ([]byte, error) {
	kinds := map[string]string{} // "", "-updates", "-security" → address
	if a.mirror != "" {
		kinds[""] = a.mirror
	} else {
		out, err := output(ctx, a.dir, nil, "apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(CODENAME)|$(REPO_URI)", "Identifier: Packages")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(out)) {
			f := strings.Split(strings.TrimSpace(line), "|")
			if len(f) != 4 || f[0] != "Debian" || !codename.MatchString(f[2]) || strings.ContainsAny(f[3], " \t[]") {
				continue
			}
			_, kind, found := strings.Cut(f[2], "-")
			if found {
				kind = "-" + kind
			}
			if _, seen := kinds[kind]; !seen {
				kinds[kind] = f[3]
			}
		}
	}
	if kinds[""] == "" {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, CodeNoDebian, "this machine's apt configuration names no Debian mirror").
			WithHint("run apt-get update if this is Debian; otherwise set NIXSPACE_DEBIAN_MIRROR to the address of a Debian mirror")
	}
	options := "arch=amd64"
	if _, err := os.Stat(keyring); err == nil {
		options += " signed-by=" + keyring
	}
	var b bytes.Buffer
	for _, kind := range []string{"", "-updates", "-security"} {
		// The testing suite has no updates, and its security suite is empty.
		if kinds[kind] != "" && (kind == "" || a.suite != "forky") {
			fmt.Fprintf(&b, "deb [%s] %s %s%s main\n", options, kinds[kind], a.suite, kind)
		}
	}
	return b.Bytes(), nil
}

// Index returns the suite's package index, fetching it first where there is none.
func (a *Apt) Index(ctx context.Context) (*debian.Index, error) {
	if err := a.prepare(ctx); err != nil {
		return nil, err
	}
	cmd, err := command(ctx, a.dir, a.env(), "apt-cache", "dumpavail")
	if err != nil {
		return nil, err
	}
	stderr := &bounded{limit: 64 << 10}
	cmd.Stderr = stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start apt-cache: %w", err)
	}
	index, readErr := debian.ReadIndex(pipe)
	if readErr != nil {
		_, _ = io.Copy(io.Discard, pipe)
	}
	if err := cmd.Wait(); err != nil {
		return nil, failure(ctx, "apt-cache", err, stderr.String())
	}
	return index, readErr
}

// Gone returns those of debs that the mirror no longer offers, after looking
// at a fresh index where the one at hand lacks any. An index at hand that is old
// may still list what the mirror has dropped: [Apt.Lost] looks at a fresh one.
func (a *Apt) Gone(ctx context.Context, debs []Deb) ([]Deb, error) {
	if err := a.prepare(ctx); err != nil {
		return nil, err
	}
	gone, err := a.unlisted(ctx, debs)
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	return a.Lost(ctx, debs)
}

// Lost fetches the index anew and returns those of debs that it does not list.
func (a *Apt) Lost(ctx context.Context, debs []Deb) ([]Deb, error) {
	if err := a.Refresh(ctx); err != nil {
		return nil, err
	}
	return a.unlisted(ctx, debs)
}

func (a *Apt) unlisted(ctx context.Context, debs []Deb) ([]Deb, error) {
	args := []string{"madison"}
	for _, d := range debs {
		args = append(args, d.Package)
	}
	out, err := output(ctx, a.dir, a.env(), "apt-cache", args...)
	if err != nil && len(out) == 0 && nixspace.ErrorCode(err) != CodeFetchFailed {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	offered := map[[2]string]bool{}
	for line := range strings.Lines(string(out)) {
		if f := strings.Split(line, "|"); len(f) == 3 {
			offered[[2]string{strings.TrimSpace(f[0]), strings.TrimSpace(f[1])}] = true
		}
	}
	var gone []Deb
	for _, d := range debs {
		if !offered[[2]string{d.Package, d.Version}] {
			gone = append(gone, d)
		}
	}
	return gone, nil
}

// Download fetches debs into a directory, under their [Deb.FileName]. It calls
// progress with the part that is done, from 0 to 1. What arrived before an
// error stays there.
func (a *Apt) Download(ctx context.Context, dir string, debs []Deb, progress func(part float64)) error {
	if err := a.prepare(ctx); err != nil {
		return err
	}
	args := []string{"download", "-q", "-o", "APT::Status-Fd=3"}
	for _, d := range debs {
		args = append(args, d.Package+"="+d.Version)
	}
	cmd, err := command(ctx, dir, a.env(), "apt-get", args...)
	if err != nil {
		return err
	}
	said := &bounded{limit: 64 << 10}
	cmd.Stdout, cmd.Stderr = said, said
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start apt-get: %w", err)
	}
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("start apt-get: %w", err)
	}
	for sc := bufio.NewScanner(r); sc.Scan(); { // dlstatus:<file>:<percent>:<text>
		f := strings.SplitN(sc.Text(), ":", 4)
		if len(f) < 3 || f[0] != "dlstatus" {
			continue
		}
		if percent, err := strconv.ParseFloat(f[2], 64); err == nil {
			progress(min(max(percent/100, 0), 1))
		}
	}
	if err := cmd.Wait(); err != nil {
		return failure(ctx, "apt-get", err, said.String())
	}
	for _, d := range debs {
		if _, err := os.Stat(filepath.Join(dir, d.FileName())); errors.Is(err, fs.ErrNotExist) {
			return nixspace.Errorf(nixspace.KindUnavailable, CodeFetchFailed, "apt-get did not fetch %s %s", d.Package, d.Version)
		}
	}
	return nil
}
