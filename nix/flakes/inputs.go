package flakes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/daemon"
	"github.com/nixspace/nixspace/nix/evalbox"
)

// CodeInputChanged says that what an address gives is not what the lock names.
const CodeInputChanged = "flake_input_changed"

// Fetcher brings what inputs of flakes are from elsewhere. Whoever named them is not
// trusted, and neither is what comes.
type Fetcher interface {
	// FetchTree returns a tree as an archive in Nix's format, and the SHA-256 of that
	// in lower-case hex.
	FetchTree(ctx context.Context, s nixspace.CodeSource) (nar io.ReadCloser, sha256 string, err error)
}

const (
	maxFetched = 64              // inputs of one flake
	fetchTime  = 4 * time.Minute // all of them together
)

// fetch brings the inputs that a lock names and that are not here into the store. What
// was brought stays there when a later one fails.
func (f *Flakes) fetch(ctx context.Context, inputs []evalbox.LockedInput) error {
	if f.cfg.Inputs == nil || len(inputs) == 0 {
		return nil
	}
	if len(inputs) > maxFetched {
		return nixspace.Errorf(nixspace.KindLimit, evalbox.CodeLimit, "the flake has %d inputs that are not here, of %d allowed", len(inputs), maxFetched)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	for _, in := range inputs {
		if err := f.fetchOne(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

func (f *Flakes) fetchOne(ctx context.Context, in evalbox.LockedInput) error {
	src, err := sourceOf(in)
	if err != nil {
		return err
	}
	f.cfg.Log.Info("fetching an input of a flake", "input", in.Node, "from", src.String())
	nar, sum, err := f.cfg.Inputs.FetchTree(ctx, src)
	if err != nil {
		return unfetched(in, src, err)
	}
	defer nar.Close()
	if got := daemon.SourcePath(sum); got != in.Path {
		return nixspace.Errorf(nixspace.KindInvalid, CodeInputChanged, "the input %s is not what flake.lock says: what %s gives has another content", in.Node, src.String()).
			WithHint("lock it again where you trust what is there: nix flake update %s", in.Node).WithDetail("input", in.Node)
	}
	info, err := f.cfg.Engine.Store().AddFixed(ctx, "source", daemon.Recursive, "sha256", nar)
	if err != nil {
		return fmt.Errorf("add an input of a flake to the store: %w", err)
	}
	if info.Path != in.Path {
		return fmt.Errorf("add an input of a flake to the store: it is %s there, not %s", info.Path, in.Path)
	}
	return nil
}

// unfetched says why an input is not here. What the reason is of counts: an address
// that is refused is no missing input.
func unfetched(in evalbox.LockedInput, src nixspace.CodeSource, err error) error {
	var known *nixspace.Error
	if !errors.As(err, &known) {
		return fmt.Errorf("fetch the input %s: %w", in.Node, err)
	}
	kind, code := known.Kind, known.Code
	if kind == nixspace.KindUnavailable || kind == nixspace.KindNotFound || kind == nixspace.KindUnauthorized {
		kind, code = nixspace.KindInvalid, evalbox.CodeMissing
	}
	e := nixspace.Errorf(kind, code, "the input %s (%s) is not on this machine, and cannot be fetched: %s", in.Node, src.String(), known.Message)
	if known.Hint != "" && kind == nixspace.KindForbidden {
		e = e.WithHint("%s", known.Hint)
	} else {
		e = e.WithHint("%s", evalbox.OverrideHint(in.Node))
	}
	return e.WithDetail("input", in.Node).WithDetail("cause", known.Code)
}

var (
	commitID = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
	part     = regexp.MustCompile(`^[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.-]+)*$`)
	hostName = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)
)

// sourceOf says where a locked input is fetched from.
func sourceOf(in evalbox.LockedInput) (nixspace.CodeSource, error) {
	bad := func(why string) (nixspace.CodeSource, error) {
		return nixspace.CodeSource{}, nixspace.Errorf(nixspace.KindInvalid, evalbox.CodeInput, "the input %s cannot be fetched: %s", in.Node, why).WithDetail("input", in.Node)
	}
	archive := func(format string, hosts ...string) (nixspace.CodeSource, error) {
		host := in.Text("host")
		if host == "" {
			host = hosts[0]
		}
		owner, repo, rev := in.Text("owner"), in.Text("repo"), in.Text("rev")
		if !part.MatchString(owner) || !part.MatchString(repo) || !hostName.MatchString(host) || strings.Contains(owner+"/"+repo, "..") {
			return bad("flake.lock names no repository")
		}
		if !commitID.MatchString(rev) {
			return bad("flake.lock names no commit of it")
		}
		address := strings.NewReplacer("HOST", host, "OWNER", owner, "REPO", repo, "REV", rev).Replace(format)
		return nixspace.CodeSource{Kind: nixspace.SourceFile, URL: address}, nil
	}
	switch kind := in.Text("type"); kind {
	case "github":
		return archive("https://HOST/OWNER/REPO/archive/REV.tar.gz", "github.com")
	case "gitlab":
		return archive("https://HOST/OWNER/REPO/-/archive/REV/source.tar.gz", "gitlab.com")
	case "sourcehut":
		return archive("https://HOST/OWNER/REPO/archive/REV.tar.gz", "git.sr.ht")
	case "tarball", "git":
		u, err := url.Parse(in.Text("url"))
		if err != nil || u.Host == "" || u.User != nil && u.Scheme != "ssh" {
			return bad("flake.lock has no address that could be used")
		}
		if kind == "tarball" {
			if u.Scheme != "https" && u.Scheme != "http" {
				return bad("its address begins with " + u.Scheme + ":")
			}
			return nixspace.CodeSource{Kind: nixspace.SourceFile, URL: u.String()}, nil
		}
		if u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "ssh" {
			return bad("its address begins with " + u.Scheme + ":")
		}
		if !commitID.MatchString(in.Text("rev")) {
			return bad("flake.lock names no commit of it")
		}
		if in.Set("submodules") || in.Set("lfs") {
			return bad("it is with submodules, or files that Git LFS keeps elsewhere, which are not fetched")
		}
		u.RawQuery, u.Fragment = "", ""
		return nixspace.CodeSource{Kind: nixspace.SourceGit, URL: u.String(), Ref: in.Text("rev")}, nil
	default:
		return bad("it is of the kind " + kind)
	}
}
