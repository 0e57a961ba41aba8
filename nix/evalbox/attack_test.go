package evalbox_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/evalbox"
	"github.com/nixspace/nixspace/nix/nixtest"
)

func githubLock(t testing.TB, tree evalbox.Tree) string {
	t.Helper()
	sum, err := hex.DecodeString(tree.NARHash)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"nodes":{"nixpkgs":{"locked":{"type":"github","owner":"NixOS","repo":"nixpkgs","rev":%q,"lastModified":1,"narHash":"sha256-%s"},"original":{"type":"github","owner":"NixOS","repo":"nixpkgs","ref":"nixos-24.05"}},"root":{"inputs":{"nixpkgs":"nixpkgs"}}},"root":"root","version":7}`,
		strings.Repeat("a", 40), base64.StdEncoding.EncodeToString(sum))
}

// state is what an evaluation could leave behind.
func state(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"/nix/store/*", "/tmp/*", "/run/*", "/sys/fs/cgroup/*/nixspace/eval-*", "/sys/fs/cgroup/nixspace/eval-*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, strings.Split(string(mounts), "\n")...)
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		b, err := os.ReadFile(p)
		if err == nil && (strings.HasPrefix(string(b), "nixspace-evalbox") || strings.Contains(string(b), "path:/flake")) && ours(filepath.Dir(p)) {
			all = append(all, p+" "+string(b))
		}
	}
	return all
}

// ours reports whether the process of a folder in /proc was started by this one, or
// lost whoever started it. Tests of other packages make boxes at the same time.
func ours(dir string) bool {
	b, err := os.ReadFile(dir + "/status")
	if err != nil {
		return false // it has ended meanwhile
	}
	_, rest, _ := strings.Cut(string(b), "\nPPid:\t")
	parent, _, _ := strings.Cut(rest, "\n")
	return parent == strconv.Itoa(os.Getpid()) || parent == "1"
}

// left returns what is in after and not in before, of this package's making: other
// programs work on this machine too.
func left(before, after []string) []string {
	var out []string
	for _, s := range after {
		if slices.Contains(before, s) || strings.HasPrefix(s, "/tmp/") && !strings.Contains(s, "evalbox") || strings.HasPrefix(s, "/run/") && !strings.Contains(s, "evalbox") {
			continue
		}
		if strings.HasPrefix(s, "/sys/") || strings.HasPrefix(s, "/proc/") {
			continue // looked at by name below
		}
		out = append(out, s)
	}
	return out
}

type attack struct {
	inputs  string // of flake.nix
	value   string // of a string that the derivation gets
	flake   string // the whole flake.nix instead
	files   map[string]string
	code    string
	text    string // in the error
	allowed bool   // it may succeed, as long as what it came to has nothing of it
	limits  evalbox.Limits
}

// TestAttacks evaluates hostile flakes. Each is refused, or gets nothing; and leaves
// nothing behind.
func TestAttacks(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("the secret of another user"), 0o644); err != nil {
		t.Fatal(err)
	}
	stored := nixtest.Nix(t, "nix-store", "--add", secret) // something in the store that is not the flake's
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	called := make(chan struct{}, 100)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			called <- struct{}{}
			_ = c.Close()
		}
	}()
	url := "http://" + listener.Addr().String()
	zero := strings.Repeat("0", 52)
	input := func(u string) string { return `inputs.e = { url = "` + u + `"; flake = false; };` }
	short := evalbox.Limits{Wall: 2 * nixtest.Patience, CPU: 3 * time.Second, Memory: 1 << 30}

	attacks := map[string]attack{
		// Inputs that are files of the machine, and other kinds of input.
		"input path /etc":    {inputs: input("path:/etc"), code: evalbox.CodeInput},
		"input path //etc":   {inputs: input("path:///etc"), code: evalbox.CodeInput},
		"input plain /etc":   {inputs: input("/etc"), code: evalbox.CodeInput},
		"input path up":      {inputs: input("path:./../../etc"), code: evalbox.CodeInput},
		"input file":         {inputs: input("file:///etc/passwd"), code: evalbox.CodeInput},
		"input file+https":   {inputs: input("file+https://example.org/x"), code: evalbox.CodeInput},
		"input git+file":     {inputs: input("git+file:///root/repo"), code: evalbox.CodeInput},
		"input hg":           {inputs: input("hg+https://example.org/x"), code: evalbox.CodeInput},
		"input tarball file": {inputs: input("tarball+file:///etc/x.tar"), code: evalbox.CodeInput},
		"input git+ssh":      {inputs: input("git+ssh://git@127.0.0.1/x"), code: evalbox.CodeMissing},
		"input http":         {inputs: input(url + "/x.tar.gz"), code: evalbox.CodeMissing},
		"input github":       {inputs: input("github:a/b"), code: evalbox.CodeMissing},
		"input other store":  {inputs: input("path:" + stored), code: evalbox.CodeMissing},
		"input unknown name": {inputs: input("flake:evil"), code: evalbox.CodeMissing},
		"input attrs":        {inputs: `inputs.e = { type = "path"; path = "/etc"; flake = false; };`, code: evalbox.CodeInput},
		"input attrs git":    {inputs: `inputs.e = { type = "git"; url = "file:///root/repo"; flake = false; };`, code: evalbox.CodeMissing},
		"input of an input":  {inputs: `inputs.nixpkgs.url = "nixpkgs"; inputs.nixpkgs.inputs.x.url = "path:/etc";`, code: evalbox.CodeInput},
		"input of a local flake": {inputs: `inputs.sub.url = "path:./sub";`, files: map[string]string{
			"sub/flake.nix": `{ inputs.e = { url = "path:/etc"; flake = false; }; outputs = { self, e }: { }; }`,
		}, code: "any"},
		"inputs without end": {flake: `{ inputs = let i = { url = "nixpkgs"; inputs.x = i; }; in { x = i; }; outputs = _: { }; }`, code: evalbox.CodeInvalid},
		// Locks that say something else than the flake.
		"lock of a folder": {inputs: input("github:a/b"), files: map[string]string{
			"flake.lock": `{"nodes":{"e":{"flake":false,"locked":{"type":"path","path":"/etc","narHash":"sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},"original":{"type":"github","owner":"a","repo":"b"}},"root":{"inputs":{"e":"e"}}},"root":"root","version":7}`,
		}, code: evalbox.CodeInput},
		"lock of a file": {inputs: input("github:a/b"), files: map[string]string{
			"flake.lock": `{"nodes":{"e":{"flake":false,"locked":{"type":"file","url":"file:///etc/passwd"},"original":{"type":"github","owner":"a","repo":"b"}},"root":{"inputs":{"e":"e"}}},"root":"root","version":7}`,
		}, code: evalbox.CodeInput},
		"lock of git": {inputs: input("github:a/b"), files: map[string]string{
			"flake.lock": `{"nodes":{"e":{"flake":false,"locked":{"type":"git","url":"file:///root/repo","rev":"` + strings.Repeat("a", 40) + `"},"original":{"type":"github","owner":"a","repo":"b"}},"root":{"inputs":{"e":"e"}}},"root":"root","version":7}`,
		}, code: evalbox.CodeInput},
		"lock of rubbish": {inputs: input("nixpkgs"), files: map[string]string{"flake.lock": `{"nodes":[]}`}, code: evalbox.CodeInvalid},
		// Settings for Nix.
		"settings registry":  {inputs: `nixConfig.flake-registry = "` + url + `/evil.json"; inputs.nixpkgs.url = "nixpkgs";`, code: evalbox.CodeConfig},
		"settings":           {inputs: `nixConfig = { substituters = "` + url + `"; sandbox = false; post-build-hook = "/x"; pure-eval = false; };`, code: evalbox.CodeConfig},
		"settings prompt":    {inputs: `nixConfig.bash-prompt = "x";`, code: evalbox.CodeConfig},
		"settings by import": {flake: `{ nixConfig = import ./c.nix; outputs = _: { }; }`, files: map[string]string{"c.nix": `{ sandbox = false; }`}, code: evalbox.CodeConfig},
		// Files of the machine.
		"read /etc/passwd":      {value: `builtins.readFile /etc/passwd`, code: evalbox.CodeInvalid},
		"read by a string":      {value: `builtins.readFile "/etc/passwd"`, code: evalbox.CodeInvalid},
		"read up":               {value: `builtins.readFile (./. + "/../../../../etc/passwd")`, code: evalbox.CodeInvalid},
		"read another's file":   {value: `builtins.readFile "` + secret + `"`, code: evalbox.CodeInvalid},
		"read /proc":            {value: `builtins.readFile "/proc/self/environ"`, code: evalbox.CodeInvalid},
		"read /proc of another": {value: `builtins.readFile "/proc/1/environ"`, code: evalbox.CodeInvalid},
		"read the store":        {value: `builtins.readFile "` + stored + `"`, code: evalbox.CodeInvalid},
		"list the store":        {value: `builtins.toJSON (builtins.readDir "/nix/store")`, code: evalbox.CodeInvalid},
		"storePath":             {value: `builtins.readFile (builtins.storePath "` + stored + `")`, code: evalbox.CodeInvalid},
		"appendContext":         {value: `builtins.appendContext "x" { "` + stored + `" = { path = true; }; }`, code: evalbox.CodeInvalid},
		"path":                  {value: `"${builtins.path { path = "/etc"; name = "z"; }}"`, code: evalbox.CodeInvalid},
		"fetchTree path":        {value: `builtins.readFile ((builtins.fetchTree { type = "path"; path = "/usr"; }) + "/x")`, code: evalbox.CodeInvalid},
		"getFlake":              {value: `toString (builtins.getFlake "path:/usr")`, code: evalbox.CodeInvalid},
		"scopedImport /etc":     {value: `toString (builtins.scopedImport { } /etc/hosts)`, code: evalbox.CodeInvalid},
		// The network.
		"fetchurl":        {value: `builtins.readFile (builtins.fetchurl { url = "` + url + `/x"; sha256 = "` + zero + `"; })`, code: evalbox.CodeInvalid},
		"fetchurl file":   {value: `builtins.readFile (builtins.fetchurl "file:///etc/passwd")`, code: evalbox.CodeInvalid},
		"fetchurl oracle": {value: `builtins.readFile (builtins.fetchurl { url = "file://` + secret + `"; sha256 = "` + nixtest.Nix(t, "nix-hash", "--type", "sha256", "--flat", "--base32", secret) + `"; })`, code: evalbox.CodeInvalid},
		"fetchTarball":    {value: `builtins.readFile "${builtins.fetchTarball { url = "` + url + `/x"; sha256 = "` + zero + `"; }}/x"`, code: evalbox.CodeInvalid},
		"fetchGit":        {value: `"${builtins.fetchGit { url = "` + url + `/x"; rev = "` + strings.Repeat("0", 40) + `"; }}"`, code: evalbox.CodeInvalid},
		"fetchGit file":   {value: `"${builtins.fetchGit { url = "file:///root/repo"; rev = "` + strings.Repeat("0", 40) + `"; }}"`, code: evalbox.CodeInvalid},
		// What is not the flake's to know or to do.
		"getEnv":        {value: `"<" + builtins.getEnv "HOME" + builtins.getEnv "PATH" + ">"`, allowed: true, text: `"<>"`},
		"currentTime":   {value: `toString builtins.currentTime`, code: evalbox.CodeInvalid},
		"currentSystem": {value: `toString builtins.currentSystem`, code: evalbox.CodeInvalid},
		"exec":          {value: `toString (builtins.exec [ "id" ])`, code: evalbox.CodeInvalid},
		"importNative":  {value: `toString (builtins.importNative /lib/x "y")`, code: evalbox.CodeInvalid},
		"import from derivation": {
			value: `import (derivation { name = "i"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo 1 > $out" ]; })`,
			code:  evalbox.CodeInvalid, text: "import from derivation",
		},
		"import from a built-in derivation": {
			value: `builtins.readFile (derivation { name = "i"; system = "builtin"; builder = "builtin:fetchurl"; url = "file:///etc/passwd"; outputHashAlgo = "sha256"; outputHashMode = "flat"; outputHash = "` + zero + `"; })`,
			code:  evalbox.CodeInvalid,
		},
		// Bombs.
		"recursion":        {value: `let f = x: f x + 1; in toString (f 1)`, code: evalbox.CodeInvalid, text: "recurs"},
		"endless loop":     {value: `let f = n: f (n + 1); in toString (f 1)`, code: "any", limits: short},
		"memory":           {value: `let g = s: n: if n == 0 then s else g (s + s) (n - 1); in toString (builtins.stringLength (g "aaaaaaaaaaaaaaaa" 34))`, code: evalbox.CodeLimit, limits: short},
		"memory of a list": {value: `toString (builtins.length (builtins.genList (i: i) 4000000000))`, code: "any", limits: short},
		"regex":            {value: `toString (builtins.match "(a*)*b" (builtins.concatStringsSep "" (builtins.genList (_: "a") 100000)))`, code: evalbox.CodeLimit, limits: short},
		"trace":            {value: `builtins.foldl' (a: i: builtins.trace (builtins.concatStringsSep "" (builtins.genList (_: "A") 10000)) a) "x" (builtins.genList (i: i) 100000)`, code: evalbox.CodeLimit, text: "prints"},
		"huge output":      {value: `builtins.concatStringsSep "" (builtins.genList (_: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") 400000)`, code: evalbox.CodeLimit, limits: evalbox.Limits{Result: 8 << 20}},
		"huge files":       {value: `toString (map (i: builtins.toFile "f${toString i}" (builtins.concatStringsSep "" (builtins.genList (_: "AAAAAAAAAAAAAAAA") 65536))) (builtins.genList (i: i) 300))`, code: evalbox.CodeLimit, limits: evalbox.Limits{Files: 32 << 20}},
		"many derivations": {value: `toString (map (i: (derivation { name = "d${toString i}"; system = "x86_64-linux"; builder = "/x"; }).drvPath) (builtins.genList (i: i) 100000))`, code: evalbox.CodeLimit, limits: evalbox.Limits{Files: 16 << 20, Wall: 2 * nixtest.Patience, CPU: 60 * time.Second}},
		"deep nesting":     {flake: "{ outputs = _: " + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + "; }", code: "any"},
		"binary":           {flake: "\x00\xff\xfe{", code: evalbox.CodeInvalid},
		"big file":         {flake: "{ }" + strings.Repeat(" ", evalbox.MaxFileSize), code: evalbox.CodeLimit},
		"path of a file":   {flake: "{ }", files: map[string]string{"../../etc/x": "x"}, code: evalbox.CodeInvalid},
	}
	for name, a := range attacks {
		t.Run(name, func(t *testing.T) {
			flake := a.flake
			if flake == "" {
				value := a.value
				if value == "" {
					value = `toString (builtins.attrValues (builtins.mapAttrs (n: i: if n == "self" then "" else builtins.toJSON (builtins.readDir i)) inputs))`
				}
				flake = `{ ` + a.inputs + ` outputs = inputs: { packages.x86_64-linux.default = derivation { name = "x"; system = "x86_64-linux"; builder = "/x"; value = ` + value + `; }; }; }`
			}
			r := request(t, flake, a.files)
			before := state(t)
			got, err := newBox(t, func(c *evalbox.Config) { c.Limits = a.limits }).Evaluate(t.Context(), r)
			switch {
			case a.allowed && err == nil:
				if drv := string(got.Derivations[got.DrvPath]); !strings.Contains(strings.ReplaceAll(drv, `\"`, `"`), a.text) {
					t.Errorf("it came to %s", drv)
				}
			case err == nil:
				t.Errorf("it was evaluated: %s", got.Derivations[got.DrvPath])
			case a.code != "any" && nixspace.ErrorCode(err) != a.code:
				t.Errorf("%v (%s), want code %s", err, nixspace.ErrorCode(err), a.code)
			case nixspace.ErrorKind(err) == nixspace.KindInternal, nixspace.ErrorKind(err) == nixspace.KindUnavailable:
				t.Errorf("it is no refusal: %v", err)
			case !strings.Contains(err.Error(), a.text):
				t.Errorf("%v, want %q", err, a.text)
			}
			if err != nil && strings.Contains(err.Error(), "the secret") {
				t.Errorf("it tells: %v", err)
			}
			t.Log(err)
			if more := left(before, state(t)); len(more) > 0 {
				t.Errorf("it left %q", more)
			}
		})
	}
	select {
	case <-called:
		t.Error("somebody reached the network")
	default:
	}
	for _, s := range state(t) {
		if strings.HasPrefix(s, "/proc/") && !strings.Contains(s, ".test") {
			t.Errorf("still there: %s", s)
		}
	}
}

// TestGivenUp ends an evaluation from outside.
func TestGivenUp(t *testing.T) {
	r := request(t, `{ outputs = _: { packages.x86_64-linux.default = let f = n: if n == 0 then 0 else f (n - 1); g = i: builtins.seq (f 1000) (g (i + 1)); in builtins.foldl' (a: i: builtins.seq (f 5000) a) 1 (builtins.genList (i: i) 100000000); }; }`, nil)
	before := state(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := newBox(t, nil).Evaluate(ctx, r); err == nil || ctx.Err() == nil {
		t.Fatalf("it ended by itself: %v", err)
	}
	if more := left(before, state(t)); len(more) > 0 {
		t.Errorf("it left %q", more)
	}
}
