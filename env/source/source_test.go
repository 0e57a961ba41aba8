package source

import (
	"net/url"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
)

// git is a repository as the tests write it down.
func git(address string, set ...func(*nixspace.CodeSource)) nixspace.CodeSource {
	s := nixspace.CodeSource{Kind: nixspace.SourceGit, URL: address}
	for _, f := range set {
		f(&s)
	}
	return s
}

func ref(r string) func(*nixspace.CodeSource) { return func(s *nixspace.CodeSource) { s.Ref = r } }

func where(p string) func(*nixspace.CodeSource) { return func(s *nixspace.CodeSource) { s.Path = p } }

func dir(d string) func(*nixspace.CodeSource) { return func(s *nixspace.CodeSource) { s.Dir = d } }

func pull(n int) func(*nixspace.CodeSource) { return func(s *nixspace.CodeSource) { s.Pull = n } }

func file(address string) nixspace.CodeSource {
	return nixspace.CodeSource{Kind: nixspace.SourceFile, URL: address}
}

const sha = "0123456789abcdef0123456789abcdef01234567"

func TestParse(t *testing.T) {
	gh := "https://github.com/acme/shop"
	for text, want := range map[string]nixspace.CodeSource{
		// Repositories.
		gh:                                       git(gh),
		gh + "/":                                 git(gh),
		gh + ".git":                              git(gh + ".git"),
		"https://GitHub.com/acme/shop":           git(gh),
		"  " + gh + " ":                          git(gh),
		"github.com/acme/shop":                   git(gh),
		"git+" + gh + "?ref=main":                git(gh, ref("main")),
		gh + "?ref=v1&dir=api":                   git(gh, ref("v1"), dir("api")),
		gh + "?rev=" + sha:                       git(gh, ref(sha)),
		gh + "#next":                             git(gh, ref("next")),
		gh + "#readme":                           git(gh),
		gh + "?tab=readme-ov-file#readme":        git(gh),
		"https://git.example.org:8443/a/b/c.git": git("https://git.example.org:8443/a/b/c.git"),
		"https://[2001:db8::1]/a.git":            git("https://[2001:db8::1]/a.git"),
		"http://git.internal/a.git":              git("http://git.internal/a.git"),
		"ssh://git@example.org:2222/a/b.git":     git("ssh://git@example.org:2222/a/b.git"),
		"ssh://example.org/a.git":                git("ssh://git@example.org/a.git"),
		"git+ssh://me@example.org/a.git?ref=x":   git("ssh://me@example.org/a.git", ref("x")),
		"git@github.com:acme/shop.git":           git("ssh://git@github.com/acme/shop.git"),
		"git@github.com:acme/shop.git#v2":        git("ssh://git@github.com/acme/shop.git", ref("v2")),
		"git@example.org:/srv/git/a.git":         git("ssh://git@example.org/srv/git/a.git"),
		"git@example.org:acme/tree/x":            git("ssh://git@example.org/acme/tree/x"),

		// Shorthands.
		"github:acme/shop":                git(gh + ".git"),
		"github:acme/shop.git":            git(gh + ".git"),
		"github:acme/shop/feature/x":      git(gh+".git", ref("feature/x")),
		"github:acme/shop?ref=v1&dir=web": git(gh+".git", ref("v1"), dir("web")),
		"github:acme/shop#v1":             git(gh+".git", ref("v1")),
		"gitlab:group%2Fsub/shop":         git("https://gitlab.com/group/sub/shop.git"),
		"codeberg:acme/shop":              git("https://codeberg.org/acme/shop.git"),
		"bitbucket:acme/shop":             git("https://bitbucket.org/acme/shop.git"),

		// Pages.
		gh + "/tree/main":                   git(gh, where("main")),
		gh + "/tree/feature/x/services/api": git(gh, where("feature/x/services/api")),
		gh + "/blob/main/api/main.go#L10":   git(gh, where("main/api")),
		gh + "/blob/main/README.md":         git(gh, where("main")),
		gh + "/commit/" + sha:               git(gh, where(sha)),
		gh + "/pull/7":                      git(gh, ref("refs/pull/7/head"), pull(7)),
		gh + "/pull/7/files":                git(gh, ref("refs/pull/7/head"), pull(7)),
		gh + "/releases/tag/v1.2":           git(gh, ref("v1.2")),
		gh + "/releases":                    git(gh),
		gh + "/issues/3":                    git(gh),
		gh + ".git/tree/main":               git(gh+".git", where("main")),
		"https://gitlab.com/g/s/shop/-/tree/main/api?ref_type=heads": git("https://gitlab.com/g/s/shop", where("main/api")),
		"https://gitlab.com/g/shop/-/merge_requests/12":              git("https://gitlab.com/g/shop", ref("refs/merge-requests/12/head"), pull(12)),
		"https://gitlab.com/g/shop/-/tags/v1":                        git("https://gitlab.com/g/shop", ref("v1")),
		"https://codeberg.org/a/b/src/branch/main/docs":              git("https://codeberg.org/a/b", where("main/docs")),
		"https://codeberg.org/a/b/src/tag/v1":                        git("https://codeberg.org/a/b", where("v1")),
		"https://codeberg.org/a/b/pulls/4":                           git("https://codeberg.org/a/b", ref("refs/pull/4/head"), pull(4)),
		"https://bitbucket.org/a/b/src/main/docs/":                   git("https://bitbucket.org/a/b", where("main/docs")),

		// Files and templates.
		gh + "/archive/refs/heads/main.tar.gz": file(gh + "/archive/refs/heads/main.tar.gz"),
		"https://example.org/a.zip?sig=abc":    file("https://example.org/a.zip?sig=abc"),
		"https://example.org/x/flake.nix":      file("https://example.org/x/flake.nix"),
		"template:node-postgres":               {Kind: nixspace.SourceTemplate, Name: "node-postgres"},
	} {
		got, err := Parse(text, "", "")
		if err != nil || got != want {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", text, got, err, want)
		}
		if !Is(strings.TrimSpace(text)) {
			t.Errorf("%s is taken for a folder", text)
		}
	}
}

func TestParseWith(t *testing.T) {
	const gh = "https://github.com/acme/shop"
	for _, test := range []struct {
		text, ref, dir string
		want           nixspace.CodeSource
		code           string
	}{
		{text: gh, ref: "v1", dir: "api", want: git(gh, ref("v1"), dir("api"))},
		{text: gh + "#main", ref: "v1", want: git(gh, ref("v1"))},
		{text: gh, dir: "./api/", want: git(gh, dir("api"))},
		{text: gh, dir: ".", want: git(gh)},
		{text: gh, ref: "refs/pull/9/head", want: git(gh, ref("refs/pull/9/head"), pull(9))},
		{text: gh + "/tree/main/x", ref: "v1", code: "ref_invalid"},
		{text: gh + "/tree/main", dir: "x", code: "source_folder_invalid"},
		{text: "template:go", ref: "v1", code: "ref_invalid"},
		{text: gh, dir: "../x", code: "source_folder_invalid"},
		{text: gh, dir: "/etc", code: "source_folder_invalid"},
		{text: gh, dir: "a/../../x", code: "source_folder_invalid"},
		{text: gh, dir: ".git/hooks", code: "source_folder_invalid"},
		{text: gh, ref: "--upload-pack=touch /tmp/x", code: "ref_invalid"},
		{text: gh, ref: "-x", code: "ref_invalid"},
		{text: gh, ref: "a..b", code: "ref_invalid"},
		{text: gh, ref: "a b", code: "ref_invalid"},
		{text: gh, ref: "refs/heads/*:refs/heads/*", code: "ref_invalid"},
		{text: gh, ref: "HEAD^{commit}", code: "ref_invalid"},
		{text: gh, ref: "x.lock", code: "ref_invalid"},
	} {
		got, err := Parse(test.text, test.ref, test.dir)
		if test.code != "" && nixspace.ErrorCode(err) != test.code {
			t.Errorf("%+v: got %+v, %v", test, got, err)
		} else if test.code == "" && (err != nil || got != test.want) {
			t.Errorf("%+v: got %+v, %v", test, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, code := range map[string]string{
		"":                                                 "source_invalid",
		"shop":                                             "source_invalid",
		"https://":                                         "source_invalid",
		"https://github.com":                               "source_invalid",
		"https://github.com/":                              "source_invalid",
		"https://github.com@evil.example/a":                "source_credentials",
		"https://user:token@github.com/a/b":                "source_credentials",
		"https://github.com:443@127.0.0.1/a":               "source_credentials",
		"ssh://git:secret@example.org/a":                   "source_credentials",
		"git://example.org/a.git":                          "source_scheme",
		"file:///etc":                                      "source_scheme",
		"ext::sh -c touch% /tmp/x":                         "source_invalid",
		"ext::sh":                                          "source_invalid",
		"ftp://example.org/a":                              "source_scheme",
		"git+file:///etc":                                  "source_scheme",
		"ssh://-oProxyCommand=touch/x":                     "source_invalid",
		"ssh://-x@example.org/a":                           "source_invalid",
		"git@-oProxyCommand=x:a":                           "source_invalid",
		"-oProxyCommand=x@example.org:a":                   "source_invalid",
		"https://exa mple.org/a":                           "source_invalid",
		"https://example.org/a\nb":                         "source_invalid",
		"https://example.org/a\x00":                        "source_invalid",
		"https://example.org/../a":                         "source_invalid",
		"https://example.org/a;touch":                      "source_invalid",
		"https://example.org/$(touch)":                     "source_invalid",
		"https://example.org:99999/a":                      "source_invalid",
		"https://example.org:/a":                           "source_invalid",
		"https://example.org\\@evil.example/a":             "source_invalid",
		"https://example.org/a?private_token=abc":          "source_invalid",
		"github:acme":                                      "source_invalid",
		"github:/shop":                                     "source_invalid",
		"template:../x":                                    "template_invalid",
		"template:":                                        "template_invalid",
		"https://example.org/" + strings.Repeat("a", 3000): "source_invalid",
	} {
		if s, err := Parse(text, "", ""); nixspace.ErrorCode(err) != code {
			t.Errorf("%.80q: got %+v, %v (%s), want %s", text, s, err, nixspace.ErrorCode(err), code)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "token@github") {
			t.Errorf("%.80q: the error tells it: %v", text, err)
		}
	}
}

func TestSlugOf(t *testing.T) {
	for text, want := range map[string]string{
		"https://github.com/acme/Shop.git": "shop", "github:acme/my_shop.js": "my-shop-js", "template:go-postgres": "go-postgres",
		"https://example.org/rel-1.0.tar.gz?x=y": "rel-1-0", "https://github.com/a/b?dir=services/api": "api", "https://example.org/_.git": "", "https://example.org/12": "",
	} {
		s, err := Parse(text, "", "")
		if got := SlugOf(s); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
	}
}

// FuzzParse looks for a source that is let through and could be an option, a
// command, or hold a password.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"https://github.com/acme/shop/tree/a/b", "git@github.com:acme/shop.git", "github:a/b/c", "ssh://-x/a", "template:go",
		"https://a@b/c", "https://gitlab.com/a/b/-/merge_requests/1", "ext::x", "https://h/a.zip?x", "[::1]:a", "a@[::1]:b",
	} {
		f.Add(s, "", "")
	}
	f.Add("https://a/b", "refs/heads/x", "c/d")
	f.Fuzz(func(t *testing.T, text, r, d string) {
		s, err := Parse(text, r, d)
		if err != nil {
			if k := nixspace.ErrorKind(err); k != nixspace.KindInvalid {
				t.Fatalf("%q: %v is of kind %s", text, err, k)
			}
			return
		}
		if s.Kind == nixspace.SourceTemplate {
			return
		}
		u, err := url.Parse(s.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "ssh" || u.Host == "" || strings.HasPrefix(u.Host, "-") {
			t.Fatalf("%q became %q (%v)", text, s.URL, err)
		}
		if _, password := u.User.Password(); password || u.User != nil && (u.Scheme != "ssh" || strings.HasPrefix(u.User.Username(), "-")) {
			t.Fatalf("%q became %q", text, s.URL)
		}
		if strings.HasPrefix(s.Ref, "-") || strings.HasPrefix(s.Path, "-") || strings.Contains(s.Dir, "..") && strings.Contains("/"+s.Dir+"/", "/../") {
			t.Fatalf("%q became %+v", text, s)
		}
		again, err := Parse(s.URL, s.Ref, s.Dir)
		if err != nil && s.Path == "" {
			t.Fatalf("%q became %+v, which is refused: %v", text, s, err)
		}
		_ = again
	})
}
