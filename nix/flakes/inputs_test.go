package flakes_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/evalbox"
	"github.com/nixspace/nixspace/nix/flakes"
)

// elsewhere has one tree at every address, and remembers what was asked for.
type elsewhere struct {
	nar []byte
	err error

	mu    sync.Mutex
	asked []string
}

func (e *elsewhere) FetchTree(_ context.Context, s nixspace.CodeSource) (io.ReadCloser, string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, fmt.Sprintf("%s %s %s", s.Kind, s.URL, s.Ref))
	if e.err != nil {
		return nil, "", e.err
	}
	sum := sha256.Sum256(e.nar)
	return io.NopCloser(bytes.NewReader(e.nar)), hex.EncodeToString(sum[:]), nil
}

func dump(t *testing.T, files map[string]string) []byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	nar, err := exec.Command("nix-store", "--dump", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return nar
}

const commit = "0123456789abcdef0123456789abcdef01234567"

func lockOf(nar []byte, locked string) string {
	sum := sha256.Sum256(nar)
	return fmt.Sprintf(`{"nodes":{"lib":{"locked":{%s,"lastModified":1,"narHash":"sha256-%s"},"original":{"type":"github","owner":"acme","repo":"lib"}},"root":{"inputs":{"lib":"lib"}}},"root":"root","version":7}`,
		locked, base64.StdEncoding.EncodeToString(sum[:]))
}

const usesLib = `{
  inputs.lib.url = "github:acme/lib";
  outputs = { self, lib }: {
    packages.x86_64-linux.default = derivation { name = lib.name; system = "builtin"; builder = "builtin:buildenv"; derivations = "true 1 1 ${lib.files}"; manifest = "/dev/null"; };
  };
}`

// TestFetchInputs brings an input that is not here, by what the lock says of it.
func TestFetchInputs(t *testing.T) {
	// The content is new each time, so that the store does not have it.
	lib := map[string]string{
		"flake.nix": `{ outputs = _: { name = "from-afar-1.2"; files = ./files; }; }`, "files/bin/x": "#!/bin/sh\n", "files/nonce": string(nixspace.NewID()),
	}
	far := &elsewhere{nar: dump(t, lib)}
	p := openWith(t, far)
	in := nixspace.UserFlake{Files: map[string]string{
		"flake.nix": usesLib, "flake.lock": lockOf(far.nar, `"type":"github","owner":"acme","repo":"lib","rev":"`+commit+`"`),
	}}
	out, err := p.EvaluateFlake(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Packages) != 1 || out.Packages[0].Name != "from-afar" {
		t.Errorf("packages %+v", out.Packages)
	}
	want := []string{"file https://github.com/acme/lib/archive/" + commit + ".tar.gz "}
	if !slices.Equal(far.asked, want) {
		t.Errorf("asked for %v, want %v", far.asked, want)
	}
	// Now it is here.
	if _, err := p.EvaluateFlake(t.Context(), in); err != nil || len(far.asked) != 1 {
		t.Errorf("a second time: %v, asked for %v", err, far.asked)
	}
}

// TestFetchInputsRefused has inputs that must not become part of anything.
func TestFetchInputsRefused(t *testing.T) {
	right := dump(t, map[string]string{"flake.nix": `{ outputs = _: { name = "x"; files = ./.; }; }`, "nonce": string(nixspace.NewID())})
	wrong := dump(t, map[string]string{"flake.nix": `{ outputs = _: { name = "evil"; files = ./.; }; }`})
	github := `"type":"github","owner":"acme","repo":"lib","rev":"` + commit + `"`
	for name, c := range map[string]struct {
		locked  string
		nar     []byte
		err     error
		code    string
		hint    string
		unasked bool
	}{
		"other content":     {locked: github, nar: wrong, code: flakes.CodeInputChanged},
		"unreachable":       {locked: github, err: nixspace.Errorf(nixspace.KindUnavailable, "source_unreachable", "github.com cannot be reached: no route"), code: evalbox.CodeMissing, hint: "--override-input lib=catalog"},
		"private address":   {locked: github, err: nixspace.Errorf(nixspace.KindForbidden, "address_refused", "the address 127.0.0.1 is refused").WithHint("--allow-network 127.0.0.1"), code: "address_refused", hint: "--allow-network"},
		"too large":         {locked: github, err: nixspace.Errorf(nixspace.KindLimit, "source_too_large", "the code is larger than 1 MiB"), code: "source_too_large"},
		"no commit":         {locked: `"type":"github","owner":"acme","repo":"lib","rev":"main"`, code: evalbox.CodeInput, unasked: true},
		"no repository":     {locked: `"type":"github","owner":"acme/../..","repo":"lib","rev":"` + commit + `"`, code: evalbox.CodeInput, unasked: true},
		"host with a path":  {locked: `"type":"github","host":"evil.example/x?","owner":"acme","repo":"lib","rev":"` + commit + `"`, code: evalbox.CodeInput, unasked: true},
		"credentials":       {locked: `"type":"tarball","url":"https://user:secret@example.org/a.tar.gz"`, code: evalbox.CodeInput, unasked: true},
		"a file":            {locked: `"type":"tarball","url":"file:///etc/shadow"`, code: evalbox.CodeInput, unasked: true},
		"a file by git":     {locked: `"type":"git","url":"file:///root/repo","rev":"` + commit + `"`, code: evalbox.CodeInput, unasked: true},
		"submodules":        {locked: `"type":"git","url":"https://example.org/a","submodules":true,"rev":"` + commit + `"`, code: evalbox.CodeInput, unasked: true},
		"another transport": {locked: `"type":"git","url":"ext::sh -c id","rev":"` + commit + `"`, code: evalbox.CodeInput, unasked: true},
	} {
		t.Run(name, func(t *testing.T) {
			far := &elsewhere{nar: c.nar, err: c.err}
			p := openWith(t, far)
			_, err := p.EvaluateFlake(t.Context(), nixspace.UserFlake{Files: map[string]string{"flake.nix": usesLib, "flake.lock": lockOf(right, c.locked)}})
			var e *nixspace.Error
			if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Hint, c.hint) {
				t.Errorf("%v, want code %s and %q", err, c.code, c.hint)
			}
			if strings.Contains(fmt.Sprint(err), "secret") {
				t.Errorf("it tells a secret: %v", err)
			}
			if (len(far.asked) == 0) != c.unasked {
				t.Errorf("asked for %v", far.asked)
			}
		})
	}
}

// TestFetchInputsOfOthers says where each kind is fetched from, and leaves out what is
// replaced.
func TestFetchInputsOfOthers(t *testing.T) {
	nar := dump(t, map[string]string{"flake.nix": `{ outputs = _: { name = "x"; files = ./.; }; }`, "nonce": string(nixspace.NewID())})
	far := &elsewhere{err: nixspace.Errorf(nixspace.KindUnavailable, "source_unreachable", "no")}
	p := openWith(t, far)
	for locked, want := range map[string]string{
		`"type":"gitlab","owner":"group/sub","repo":"lib","rev":"` + commit + `"`:                   "file https://gitlab.com/group/sub/lib/-/archive/" + commit + "/source.tar.gz ",
		`"type":"sourcehut","owner":"~acme","repo":"lib","rev":"` + commit + `"`:                    "file https://git.sr.ht/~acme/lib/archive/" + commit + ".tar.gz ",
		`"type":"tarball","url":"https://example.org/a.tar.gz?x=1"`:                                 "file https://example.org/a.tar.gz?x=1 ",
		`"type":"git","url":"https://example.org/a.git?shallow=1","rev":"` + commit + `"`:           "git https://example.org/a.git " + commit,
		`"type":"git","url":"ssh://git@example.org/a.git","rev":"` + commit + `"`:                   "git ssh://git@example.org/a.git " + commit,
		`"type":"github","host":"forge.example","owner":"acme","repo":"lib","rev":"` + commit + `"`: "file https://forge.example/acme/lib/archive/" + commit + ".tar.gz ",
	} {
		in := nixspace.UserFlake{Files: map[string]string{"flake.nix": usesLib, "flake.lock": lockOf(nar, locked)}}
		far.asked = nil
		if _, err := p.EvaluateFlake(t.Context(), in); nixspace.ErrorCode(err) != evalbox.CodeMissing || len(far.asked) != 1 || far.asked[0] != want {
			t.Errorf("%s: %v, asked for %v, want %s", locked, err, far.asked, want)
		}
		far.asked, in.Overrides = nil, map[string]string{"lib": "catalog"}
		if _, err := p.EvaluateFlake(t.Context(), in); len(far.asked) != 0 || nixspace.ErrorCode(err) == evalbox.CodeMissing {
			t.Errorf("%s, replaced: %v, asked for %v", locked, err, far.asked)
		}
	}
}
