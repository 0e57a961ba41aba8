// Package source reads what people write to say where a project's code comes
// from: addresses of repositories in all of their forms, of pages that show them,
// of archives, and names of templates. It is pure: it decides what is meant, and
// never whether it may be reached.
package source

import (
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nixspace/nixspace"
)

// maxLength bounds an address, in bytes.
const maxLength = 2000

// shorthands are the forges that have one, with their hosts.
var shorthands = map[string]string{
	"github": "github.com", "gitlab": "gitlab.com", "codeberg": "codeberg.org", "bitbucket": "bitbucket.org",
}

// forges are hosts that need no scheme before them.
var forges = map[string]bool{
	"github.com": true, "www.github.com": true, "gitlab.com": true, "codeberg.org": true, "bitbucket.org": true,
}

var templateName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// scp is the form of ssh's own programs: user@host:path.
var scp = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9._-]*)@([^:/@\[\]]+|\[[0-9a-fA-F:.]+\]):([^:].*)$`)

// Is reports whether text is meant as a source rather than as a name of a file or
// folder.
func Is(text string) bool {
	if strings.Contains(text, "://") || scp.MatchString(text) || isForge(text) {
		return true
	}
	prefix, _, ok := strings.Cut(text, ":")
	return ok && (prefix == "template" || shorthands[prefix] != "")
}

func isForge(text string) bool {
	host, _, ok := strings.Cut(text, "/")
	return ok && forges[strings.ToLower(host)]
}

// Parse reads a source. Ref and dir, where they are not empty, replace those that
// the text itself names. It fails with kind invalid and a code that begins with
// "source_" or "ref_".
func Parse(text, ref, dir string) (nixspace.CodeSource, error) {
	var s nixspace.CodeSource
	text = strings.TrimSpace(text)
	if err := checkText(text); err != nil {
		return s, err
	}
	var err error
	prefix, rest, _ := strings.Cut(text, ":")
	switch {
	case prefix == "template":
		s, err = template(rest)
	case shorthands[prefix] != "" && !strings.HasPrefix(rest, "//"):
		s, err = shorthand(shorthands[prefix], rest)
	case !strings.Contains(text, "://") && scp.MatchString(text):
		m := scp.FindStringSubmatch(text)
		s, err = repository("ssh://" + m[1] + "@" + m[2] + "/" + strings.TrimPrefix(m[3], "/"))
	case isForge(text):
		s, err = repository("https://" + text)
	default:
		s, err = repository(text)
	}
	if err != nil {
		return nixspace.CodeSource{}, err
	}
	if ref != "" {
		if s.Kind != nixspace.SourceGit {
			return nixspace.CodeSource{}, invalid("ref_invalid", "%s is no repository, so it has no branch or tag %.80q", s, ref)
		}
		if s.Path != "" && s.Dir == "" {
			return nixspace.CodeSource{}, invalid("ref_invalid", "the address names a branch or commit already").
				WithHint("give the address of the repository without /tree/…")
		}
		s.Ref, s.Path, s.Pull = ref, "", 0
	}
	if dir != "" {
		if s.Path != "" {
			return nixspace.CodeSource{}, invalid("source_folder_invalid", "the address may name a folder already").
				WithHint("give the address of the repository without /tree/…, and the branch with --ref")
		}
		s.Dir = dir
	}
	return finish(s)
}

// finish checks what is left.
func finish(s nixspace.CodeSource) (nixspace.CodeSource, error) {
	var err error
	if s.Dir, err = folder(s.Dir); err != nil {
		return nixspace.CodeSource{}, err
	}
	if s.Kind == nixspace.SourceGit && s.Ref != "" {
		if n, ok := pullNumber(s.Ref); ok {
			s.Pull = n
		}
		if err := CheckRef(s.Ref); err != nil {
			return nixspace.CodeSource{}, err
		}
	}
	if s.Path != "" {
		if err := CheckRef(strings.Trim(s.Path, "/")); err != nil {
			return nixspace.CodeSource{}, err
		}
		if s.Path, err = folder(s.Path); err != nil {
			return nixspace.CodeSource{}, err
		}
	}
	return s, nil
}

func checkText(text string) error {
	switch {
	case text == "":
		return invalid("source_invalid", "no source is given").WithHint("give the address of a repository, such as https://github.com/owner/name, or template:NAME")
	case len(text) > maxLength:
		return invalid("source_invalid", "the address is longer than %d bytes", maxLength)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == '\\' }):
		return invalid("source_invalid", "the address %.80q has characters that no address has", text)
	}
	return nil
}

func template(name string) (nixspace.CodeSource, error) {
	if !templateName.MatchString(name) || len(name) > 80 {
		return nixspace.CodeSource{}, invalid("template_invalid", "%.80q is no name of a template", name).
			WithHint("see them with: nixspace templates")
	}
	return nixspace.CodeSource{Kind: nixspace.SourceTemplate, Name: name}, nil
}

// shorthand reads what comes after github: and its like: owner/repo, and then
// perhaps a reference.
func shorthand(host, rest string) (nixspace.CodeSource, error) {
	bad := invalid("source_invalid", "%.80q is no repository of %s", rest, host).WithHint("write it as owner/name")
	rest, fragment, _ := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	parts := strings.SplitN(strings.Trim(rest, "/"), "/", 3)
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return nixspace.CodeSource{}, bad
	}
	owner, err := url.PathUnescape(parts[0]) // GitLab's groups in groups: group%2Fsub
	if err != nil {
		return nixspace.CodeSource{}, bad
	}
	s, err := repository("https://" + host + "/" + strings.Trim(owner, "/") + "/" + strings.TrimSuffix(parts[1], ".git") + ".git" + suffix("?", query) + suffix("#", fragment))
	if err != nil {
		return s, err
	}
	if len(parts) == 3 && s.Ref == "" {
		s.Ref = parts[2]
	}
	return s, nil
}

func suffix(mark, text string) string {
	if text == "" {
		return ""
	}
	return mark + text
}

// repository reads a URL.
func repository(text string) (nixspace.CodeSource, error) {
	var s nixspace.CodeSource
	text = strings.TrimPrefix(text, "git+")
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return s, invalid("source_invalid", "%.80q is no address of a repository", withoutUser(text)).
			WithHint("write it as https://github.com/owner/name, git@host:owner/name.git or github:owner/name")
	}
	switch u.Scheme {
	case "https", "http", "ssh":
	case "":
		return s, invalid("source_invalid", "%.80q is neither a folder here nor the address of a repository", text).
			WithHint("write it as https://github.com/owner/name, git@host:owner/name.git or github:owner/name")
	case "git":
		return s, invalid("source_scheme", "git:// has no encryption and nobody's signature, and is not used").WithHint("try https:// in its place")
	default:
		return s, invalid("source_scheme", "addresses that begin with %.20s: cannot be fetched", u.Scheme).WithHint("use https:// or ssh://")
	}
	if err := authority(u); err != nil {
		return s, err
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return s, invalid("source_invalid", "what follows the question mark in the address cannot be read")
	}
	ref, dir := q.Get("ref"), q.Get("dir")
	if rev := q.Get("rev"); rev != "" {
		ref = rev
	}
	for key := range q {
		switch key {
		case "ref", "rev", "dir", "tab", "path", "ref_type", "at":
		default:
			if !isFile(u.Path) {
				return s, invalid("source_invalid", "the address has %.40q after its question mark, which is not understood here", key).
					WithHint("?ref= and ?dir= are understood; a token is given with --token-stdin")
			}
		}
	}
	fragment := u.Fragment
	clean := url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: u.Path, User: u.User}
	if u.Scheme != "ssh" && isFile(u.Path) {
		s.Kind = nixspace.SourceFile
		clean.RawQuery = u.RawQuery
		s.URL = clean.String()
		return s, nil
	}
	if err := pathOf(u); err != nil {
		return s, err
	}
	s = page(clean, u.Scheme != "ssh")
	if ref != "" || fragment != "" && !isAnchor(u, fragment) {
		if ref == "" {
			ref = fragment
		}
		s.Ref, s.Path, s.Pull = ref, "", 0
	}
	if dir != "" {
		s.Dir = dir
	}
	return s, nil
}

// withoutUser hides what may be a password from errors.
func withoutUser(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		return "…" + text[i:]
	}
	return text
}

// isAnchor tells a place in a shown page, such as #readme or #L10, from a branch.
func isAnchor(u *url.URL, fragment string) bool {
	line := len(fragment) > 1 && fragment[0] == 'L' && fragment[1] >= '0' && fragment[1] <= '9'
	return line || strings.EqualFold(fragment, "readme") || strings.HasPrefix(fragment, "readme-ov-file") || strings.Contains(u.Path, "/blob/")
}

var (
	hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?$`)
	userPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
)

// authority checks user, host and port. A name that begins with a hyphen would be
// an option of ssh.
func authority(u *url.URL) error {
	host := strings.ToLower(u.Hostname())
	if _, err := netip.ParseAddr(host); err != nil && (!hostPattern.MatchString(host) || len(host) > 253) {
		return invalid("source_invalid", "%.80q is no name of a host", host)
	}
	if u.Port() != "" {
		if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
			return invalid("source_invalid", "%.20q is no port", u.Port())
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return invalid("source_invalid", "the port is missing after the colon")
	}
	if u.User == nil {
		if u.Scheme == "ssh" {
			u.User = url.User("git")
		}
		return nil
	}
	_, password := u.User.Password()
	if u.Scheme != "ssh" || password {
		return invalid("source_credentials", "the address has a user name or password before its host %.80q", host).
			WithHint("leave it out, because addresses are stored and shown; give a token with --token-stdin")
	}
	if !userPattern.MatchString(u.User.Username()) {
		return invalid("source_invalid", "%.80q is no name of a user", u.User.Username())
	}
	return nil
}

// pathOf checks the path of a repository.
func pathOf(u *url.URL) error {
	p := strings.Trim(u.Path, "/")
	if p == "" {
		return invalid("source_invalid", "the address names a host, and no repository on it")
	}
	for _, part := range strings.Split(p, "/") {
		if part == "." || part == ".." {
			return invalid("source_invalid", "the path of the address has a part %q", part)
		}
	}
	if strings.ContainsFunc(u.Path, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || strings.ContainsRune("\\'\"`$;|&<>*?{}", r)
	}) {
		return invalid("source_invalid", "the path of the address has characters that no repository's has")
	}
	return nil
}

// endings are what files are known by.
var endings = []string{".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar", ".zip"}

func isFile(p string) bool {
	for _, e := range endings {
		if strings.HasSuffix(strings.ToLower(p), e) {
			return true
		}
	}
	return path.Base(p) == "flake.nix" && !strings.Contains(p, "/blob/")
}

func folder(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	clean := path.Clean(dir)
	bad := strings.HasPrefix(dir, "/") || clean == ".." || strings.HasPrefix(clean, "../") || len(dir) > 1000 || !utf8.ValidString(dir)
	for _, part := range strings.Split(dir, "/") {
		bad = bad || part == ".." || part == ".git"
	}
	if bad || strings.ContainsFunc(dir, unicode.IsControl) || strings.ContainsRune(dir, '\\') {
		return "", invalid("source_folder_invalid", "%.80q is no folder of a repository", dir)
	}
	if clean == "." {
		return "", nil
	}
	return clean, nil
}

func invalid(code, format string, args ...any) *nixspace.Error {
	return nixspace.Errorf(nixspace.KindInvalid, code, format, args...)
}
