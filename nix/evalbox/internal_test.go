package evalbox

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
)

// FuzzLock reads lock files of others.
func FuzzLock(f *testing.F) {
	f.Add([]byte(`{"nodes":{"n":{"locked":{"type":"github","narHash":"sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},"original":{"type":"github"}},"root":{"inputs":{"n":"n","m":["n"]}}},"root":"root","version":7}`))
	f.Add([]byte(`{"nodes":{"root":{"inputs":{"s":"s"}},"s":{"locked":{"type":"path","path":"./s"}}},"root":"root","version":7}`))
	f.Add([]byte(`{"nodes":{},"root":"","version":7}`))
	f.Add([]byte(`{"nodes":{"a":{"inputs":{"x":["b","x"],"y":["b"]}},"b":{"inputs":{"x":["a","x"],"a":"a"}},"root":{"inputs":{"a":"a","b":["a","y"],"c":["c"]}}},"root":"root","version":7}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLock(b)
		if err != nil || l == nil {
			return
		}
		p := policy{request: &Request{}, lock: l}
		_ = p.checkLock(l)
		_ = p.locked("n.m.x")
		if _, err := LockedInputs(b, map[string]string{"n": "", "x": ""}); err != nil {
			t.Error(err)
		}
		out, err := withoutLocal(b, l)
		if err != nil {
			t.Error(err)
		}
		if _, err := parseLock(out); err != nil {
			t.Errorf("%v: %s became %s", err, b, out)
		}
	})
}

// FuzzErrors reads what Nix says of hostile flakes.
func FuzzErrors(f *testing.F) {
	f.Add("error: syntax error, unexpected ';'\n\n       at /nix/store/44b43zsy6xv15xrxl335257sgldwd9vr-source/flake.nix:3:9:\n", "")
	f.Add("error:\n       … while calling\n         at «path:/flake»/nix/p.nix:1:2:\n\n       error: bad\n", "killed")
	f.Add("\xff error: \xfe", "segmentation fault")
	f.Fuzz(func(t *testing.T, stderr, signal string) {
		err := (&report{Step: "evaluate", Stderr: stderr, Signal: signal}).error(&spec{Limits: Limits{}.orDefault()})
		if k := nixspace.ErrorKind(err); k != nixspace.KindInvalid && k != nixspace.KindLimit {
			t.Errorf("%v is of kind %s", err, k)
		}
	})
}

func TestReasons(t *testing.T) {
	for said, want := range map[string]string{
		"error: undefined variable 'nope'\n\n       at /nix/store/44b43zsy6xv15xrxl335257sgldwd9vr-source/flake.nix:3:5:\n\n            2|\n":                                                                                                                        "flake.nix:3:5: undefined variable 'nope'",
		"error:\n       … while evaluating the attribute 'x'\n\n         at /nix/store/44b43zsy6xv15xrxl335257sgldwd9vr-source/a.nix:9:9:\n\n       error: undefined variable 'nope'\n       at /nix/store/44b43zsy6xv15xrxl335257sgldwd9vr-source/flake.nix:3:5:\n": "flake.nix:3:5: undefined variable 'nope'",
		"": "Nix gives no reason",
	} {
		err := (&report{Step: "evaluate", Stderr: said}).error(&spec{})
		if !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestClassify(t *testing.T) {
	for url, want := range map[string][2]string{
		"nixpkgs": {"indirect", "nixpkgs"}, "flake:nixpkgs/nixos-24.05": {"indirect", "nixpkgs"}, "nixpkgs/unstable?dir=x": {"indirect", "nixpkgs"},
		"path:./x": {"path", "./x"}, "./x": {"path", "./x"}, "/etc": {"path", "/etc"}, "path:/etc?narHash=x": {"path", "/etc"}, "path:///etc": {"path", "/etc"},
		"github:a/b": {"github", "a/b"}, "git+file:///x": {"git+file", "///x"}, "git+https://h/x": {"git", "git+https://h/x"},
		"https://h/x.tar.gz": {"tarball", "https://h/x.tar.gz"}, "file:///x": {"file", "///x"}, "hg+https://h": {"hg+https", "//h"}, "": {"unknown", ""}, "~/x": {"unknown", "~/x"},
	} {
		if kind, at := classify(url); kind != want[0] || at != want[1] {
			t.Errorf("%q is %q %q, want %q", url, kind, at, want)
		}
	}
}

// TestUsed finds what of a lock is used when inputs of the root are replaced.
func TestUsed(t *testing.T) {
	const lock = `{"nodes":{
		"root":{"inputs":{"nixpkgs":"nixpkgs","tools":"tools","more":["tools","inner"]}},
		"nixpkgs":{"inputs":{"deep":"deep"}}, "deep":{},
		"tools":{"inputs":{"nixpkgs":["nixpkgs"],"inner":"inner"}}, "inner":{}, "stray":{}
	},"root":"root","version":7}`
	l, err := parseLock([]byte(lock))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		overrides []string
		want      string
	}{
		"none":         {nil, "deep inner nixpkgs root tools"},
		"one":          {[]string{"nixpkgs"}, "inner root tools"},
		"another":      {[]string{"tools"}, "deep nixpkgs root"},
		"all":          {[]string{"nixpkgs", "tools"}, "root"},
		"below counts": {[]string{"tools.inner"}, "deep inner nixpkgs root tools"},
	} {
		by := map[string]string{}
		for _, o := range c.overrides {
			by[o] = "/x"
		}
		got := strings.Join(slices.Sorted(maps.Keys(l.used(by))), " ")
		if got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
