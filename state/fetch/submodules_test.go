package fetch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/source"
)

// submodule commits a submodule of a repository: an entry that names a commit, and what
// .gitmodules says of it.
func (s *forge) submodule(repo, path, address, commit string) {
	s.t.Helper()
	s.run(repo, "update-index", "--add", "--cacheinfo", "160000,"+commit+","+path)
	s.run(repo, "config", "-f", ".gitmodules", "submodule."+path+".path", path)
	s.run(repo, "config", "-f", ".gitmodules", "submodule."+path+".url", address)
	s.run(repo, "add", ".gitmodules")
	s.run(repo, "commit", "-q", "-m", "submodule "+path)
}

// addresses lets a fetcher read addresses as people write them.
func addresses(c *Config) {
	c.Parse = func(address string) (nixspace.CodeSource, error) { return source.Parse(address, "", "") }
}

func (s *forge) head(repo string) string { return s.run(repo, "rev-parse", "HEAD") }

// TestSubmodules fetches submodules where that is asked for, at the commits that the
// code names, and those in them.
func TestSubmodules(t *testing.T) {
	s := newForge(t)
	s.repository("deep", map[string]string{"deep.txt": "deep"})
	s.repository("lib", map[string]string{"lib.txt": "old", "link": "-> lib.txt"})
	s.submodule("lib", "inner/deep", "../deep", s.head("deep"))
	lib := s.head("lib")
	s.commit("lib", "newer", map[string]string{"lib.txt": "newer"})
	s.repository("shop", map[string]string{"main.txt": "main"})
	s.submodule("shop", "third party/lib", s.URL+"/lib", lib)
	s.submodule("shop", "api/deep", "../deep", s.head("deep"))
	f := fetcher(t, s.ca, addresses)

	src := s.source("shop")
	got, err := f.Fetch(t.Context(), src, nixspace.SourceCredentials{}, nil)
	if err != nil || !strings.Contains(strings.Join(got.Notes, "\n"), "--submodules") {
		t.Fatalf("without: %+v, %v", got, err)
	}
	if all := files(t, f, got.Workspace); all["third party/lib/lib.txt"] != "" {
		t.Error("they are fetched although nobody asked")
	}
	src.Submodules = true
	got, err = f.Fetch(t.Context(), src, nixspace.SourceCredentials{}, nil)
	if err != nil || len(got.Notes) != 0 || !got.History {
		t.Fatalf("with: %+v, %v", got, err)
	}
	all := files(t, f, got.Workspace)
	for name, want := range map[string]string{
		"main.txt": "main", "third party/lib/lib.txt": "old", "third party/lib/link": "-> lib.txt",
		"third party/lib/inner/deep/deep.txt": "deep", "api/deep/deep.txt": "deep",
	} {
		if all[name] != want {
			t.Errorf("%s is %q, want %q", name, all[name], want)
		}
	}
	// Of a folder, those below it.
	src.Dir = "api"
	if got, err = f.Fetch(t.Context(), src, nixspace.SourceCredentials{}, nil); err != nil {
		t.Fatal(err)
	}
	if all := files(t, f, got.Workspace); all["deep/deep.txt"] != "deep" || len(all) != 1 {
		t.Errorf("the folder has %v", all)
	}
}

// TestHostileSubmodules: what a repository says of its submodules reaches nothing but
// other repositories, and opens none of them.
func TestHostileSubmodules(t *testing.T) {
	s, other := newForge(t), newForge(t)
	s.repository("lib", map[string]string{"a": "a"})
	commit := s.head("lib")
	for i, address := range []string{
		"/etc", "file:///etc", "ext::sh -c id", "--upload-pack=id", "-u", "../../../../..", "git://example.org/a", "ssh://-oProxyCommand=id/a",
		"https://user:pw@example.org/a", "template:go", "https://169.254.169.254/a", "https://example.org/a/archive/x.tar.gz",
	} {
		name := fmt.Sprintf("bad-%d", i)
		s.repository(name, map[string]string{"main": "x"})
		s.submodule(name, "sub", address, commit)
		src := s.source(name)
		src.Submodules = true
		f := fetcher(t, s.ca, addresses)
		if got, err := f.Fetch(t.Context(), src, nixspace.SourceCredentials{}, nil); err == nil || nixspace.ErrorKind(err) == nixspace.KindInternal {
			t.Errorf("%s: got %+v, %v", address, got, err)
		}
		// Without submodules the code is code like other, unless git itself refuses it.
		src.Submodules = false
		if _, err := f.Fetch(t.Context(), src, nixspace.SourceCredentials{}, nil); err != nil && !strings.HasPrefix(address, "-") {
			t.Errorf("%s: without: %v", address, err)
		}
	}
	// A token is for the host of the source alone.
	other.repository("far", map[string]string{"far": "far"})
	s.repository("mine", map[string]string{"main": "x"})
	s.submodule("mine", "near", "../lib", commit)
	s.submodule("mine", "far", other.URL+"/far", other.head("far"))
	s.users["mine"], s.users["lib"] = "x-access-token:"+secret, "x-access-token:"+secret
	src := s.source("mine")
	src.Submodules = true
	f := fetcher(t, both(t, s.ca, other.ca), addresses)
	got, err := f.Fetch(t.Context(), src, nixspace.SourceCredentials{Token: secret, User: "x-access-token"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if all := files(t, f, got.Workspace); all["near/a"] != "a" || all["far/far"] != "far" {
		t.Errorf("got %v", all)
	}
	for _, a := range other.asked {
		if a != "" {
			t.Errorf("the other host was shown %q", a)
		}
	}
	// One that needs a token of its own says so, and which it is.
	other.users["far"] = "x:y"
	if _, err := f.Fetch(t.Context(), src, nixspace.SourceCredentials{Token: secret, User: "x-access-token"}, nil); nixspace.ErrorCode(err) != "source_unauthorized" || !strings.Contains(fmt.Sprint(err), "submodule far") {
		t.Errorf("got %v", err)
	}
}

// TestSubmodulesOfSubmodules ends where they go on and on.
func TestSubmodulesOfSubmodules(t *testing.T) {
	s := newForge(t)
	names := []string{"m0", "m1", "m2", "m3", "m4"}
	s.repository("m4", map[string]string{"end": "x"})
	for i := len(names) - 2; i >= 0; i-- {
		s.repository(names[i], map[string]string{"n": names[i]})
		s.submodule(names[i], "next", "../"+names[i+1], s.head(names[i+1]))
	}
	src := s.source("m0")
	src.Submodules = true
	f := fetcher(t, s.ca, addresses)
	if _, err := f.Fetch(t.Context(), src, nixspace.SourceCredentials{}, nil); nixspace.ErrorCode(err) != "submodules_too_many" {
		t.Errorf("got %v", err)
	}
	src = s.source("m1")
	src.Submodules = true
	if got, err := f.Fetch(t.Context(), src, nixspace.SourceCredentials{}, nil); err != nil {
		t.Error(err)
	} else if all := files(t, f, got.Workspace); all["next/next/next/end"] != "x" {
		t.Errorf("got %v", all)
	}
}
