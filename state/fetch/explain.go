package fetch

import (
	"errors"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/dial"
)

// Codes of failures that another way of fetching may get around.
const (
	codeNoShallow = "git_no_shallow"
	codeNoCommit  = "git_no_commit"
)

// explain turns what git says into what a person can act on. Nobody's token is in
// it: git is not given it in an address, and it is taken out all the same.
func (g *git) explain(said string, err error) error {
	if g.cred.Token != "" {
		said = strings.ReplaceAll(said, g.cred.Token, "…")
	}
	var known *nixspace.Error
	if g.failed != nil {
		if cause := g.failed(); nixspace.ErrorCode(cause) == dial.CodeRefused {
			errors.As(cause, &known)
			return known
		}
	}
	lower := strings.ToLower(said)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(lower, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("does not support shallow"):
		return nixspace.Errorf(nixspace.KindUnavailable, codeNoShallow, "the server of %s cannot send part of a history", g.url)
	case has("not our ref", "unadvertised object"):
		return nixspace.Errorf(nixspace.KindNotFound, codeNoCommit, "the repository %s does not give the commit", g.url)
	case has("couldn't find remote ref"):
		return nixspace.Errorf(nixspace.KindNotFound, "ref_unknown", "the repository %s does not have it any more", g.url)
	case has("host key verification failed", "remote host identification has changed"):
		return nixspace.Errorf(nixspace.KindForbidden, "source_host_key", "the host %s answers with another key than before", g.url.Hostname()).
			WithHint("if its key was changed on purpose, remove its line from %s/known_hosts", g.f.cfg.Dir)
	case has("authentication failed", "could not read username", "could not read password", "permission denied", "terminal prompts disabled", "error: 403", "error: 401", "invalid username or"):
		return unauthorized(g.url.String())
	case has("not found", "does not appear to be a git repository", "does not exist", "error: 404"):
		return nixspace.Errorf(nixspace.KindNotFound, "source_not_found", "there is no repository at %s, or it is private", g.url).
			WithHint("check the address; for a private one, give a token with --token-stdin or a deploy key with --deploy-key FILE")
	case has("fsck", "index-pack failed", "invalid index-pack", "bad object", "corrupt", "out of memory", "malloc failed"):
		return nixspace.Errorf(nixspace.KindInvalid, "source_damaged", "what the repository %s sends is damaged, or not what git would make: %s", g.url, lastLine(said))
	case has("unsupported protocol", "transport '", "not allowed"):
		return nixspace.Errorf(nixspace.KindForbidden, "source_scheme", "the repository %s leads to an address that may not be used", g.url)
	}
	if g.failed != nil {
		if cause := g.failed(); cause != nil {
			return unreachable(g.url.Hostname(), cause)
		}
	}
	if said == "" {
		return nixspace.Errorf(nixspace.KindUnavailable, "source_failed", "the repository %s cannot be fetched: git ended with %v", g.url, err)
	}
	return nixspace.Errorf(nixspace.KindUnavailable, "source_failed", "the repository %s cannot be fetched: %s", g.url, lastLine(said))
}

// lastLine returns the line that says most: the last that git marks as fatal.
func lastLine(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	line := lines[len(lines)-1]
	for _, l := range lines {
		if strings.HasPrefix(l, "fatal: ") {
			line = strings.TrimPrefix(l, "fatal: ")
		}
	}
	if len(line) > 300 {
		line = line[:300] + "…"
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, line), "?")
}
