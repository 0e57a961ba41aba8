package source

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

// page reads the path of a repository's URL, which may be that of a page about
// it: a folder at a branch, a commit, a tag, a pull request. Forges are told apart
// by how their pages are named, because many run on hosts of their own.
func page(u url.URL, web bool) nixspace.CodeSource {
	s := nixspace.CodeSource{Kind: nixspace.SourceGit}
	p := strings.Trim(u.Path, "/")
	repo, rest := p, ""
	if web {
		repo, rest = split(p)
	}
	u.Path = "/" + repo
	s.URL = u.String()
	if rest == "" {
		return s
	}
	kind, tail, _ := strings.Cut(rest, "/")
	switch kind {
	case "tree", "src":
		s.Path = tail
		if what, more, ok := strings.Cut(tail, "/"); kind == "src" && ok && (what == "branch" || what == "tag" || what == "commit") { // Gitea, Forgejo
			s.Path = more
		}
	case "blob", "raw": // the file's folder
		s.Path = tail
		if i := strings.LastIndexByte(tail, '/'); i > 0 {
			s.Path = tail[:i]
		}
	case "commit", "commits":
		s.Path = tail
	case "tags":
		s.Ref = tail
	case "releases":
		s.Ref = strings.TrimPrefix(tail, "tag/")
		if s.Ref == tail {
			s.Ref = ""
		}
	case "pull", "pulls":
		setPull(&s, tail, "pull")
	case "merge_requests":
		setPull(&s, tail, "merge-requests")
	}
	s.Path = strings.Trim(s.Path, "/")
	return s
}

func setPull(s *nixspace.CodeSource, tail, space string) {
	number, _, _ := strings.Cut(tail, "/")
	if n, err := strconv.Atoi(number); err == nil && n > 0 {
		s.Pull, s.Ref = n, "refs/"+space+"/"+strconv.Itoa(n)+"/head"
	}
}

// pages are what comes after owner/name in the address of a page.
var pages = map[string]bool{
	"tree": true, "blob": true, "raw": true, "src": true, "commit": true, "commits": true, "tags": true, "releases": true,
	"pull": true, "pulls": true, "issues": true, "actions": true, "wiki": true, "branches": true,
}

// split tells the path of a repository from what follows it in the address of a
// page.
func split(p string) (repo, rest string) {
	if repo, rest, ok := strings.Cut(p, "/-/"); ok { // GitLab
		return repo, rest
	}
	if i := strings.Index(p, ".git/"); i > 0 {
		return p[:i+4], p[i+5:]
	}
	if parts := strings.SplitN(p, "/", 4); len(parts) >= 3 && pages[parts[2]] {
		return parts[0] + "/" + parts[1], strings.TrimPrefix(p, parts[0]+"/"+parts[1]+"/")
	}
	return p, ""
}

var pullRef = regexp.MustCompile(`^refs/(?:pull|merge-requests|pull-requests)/([1-9][0-9]{0,8})/(?:head|merge|from)$`)

func pullNumber(ref string) (int, bool) {
	m := pullRef.FindStringSubmatch(ref)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return n, err == nil
}

// CheckRef checks a name of a branch, tag, reference or commit by git's own rules.
// It fails with code ref_invalid.
func CheckRef(ref string) error {
	bad := ref == "" || len(ref) > 250 || ref == "@" ||
		strings.HasPrefix(ref, "-") || strings.HasPrefix(ref, "/") || strings.HasSuffix(ref, "/") || strings.HasSuffix(ref, ".") ||
		strings.Contains(ref, "..") || strings.Contains(ref, "//") || strings.Contains(ref, "@{") ||
		strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("~^:?*[\\", r) })
	for _, part := range strings.Split(ref, "/") {
		bad = bad || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock")
	}
	if bad {
		return invalid("ref_invalid", "%.80q is no branch, tag or commit", ref)
	}
	return nil
}

// SlugOf suggests a project's name for a source, or "" where there is no good one.
func SlugOf(s nixspace.CodeSource) string {
	text := s.Name
	if s.Kind != nixspace.SourceTemplate {
		text = s.URL[strings.LastIndexByte(s.URL, '/')+1:]
		text, _, _ = strings.Cut(text, "?")
		if s.Dir != "" {
			text = s.Dir[strings.LastIndexByte(s.Dir, '/')+1:]
		}
	}
	text = strings.ToLower(text)
	for _, e := range append([]string{".git"}, endings...) {
		text = strings.TrimSuffix(text, e)
	}
	var b strings.Builder
	for _, c := range text {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	slug := b.String()
	if len(slug) > 40 {
		slug = slug[:40]
	}
	slug = strings.Trim(slug, "-")
	if nixspace.CheckName("a project", slug) != nil {
		return ""
	}
	return slug
}
