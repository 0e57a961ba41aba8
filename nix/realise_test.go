package nix_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nix-community/go-nix/pkg/derivation"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix"
	"github.com/nixspace/nixspace/nix/nixtest"
)

// packages instantiates some small packages, of several kinds.
func packages(t testing.TB) []nix.Input {
	t.Helper()
	drvs := nixtest.Instantiate(t, packagesExpr(t)+"[ p.hello p.world p.fetched p.multi p.quoted ]")
	var in []nix.Input
	for i, attr := range []string{"hello", "world", "fetched", "multi", "quoted"} {
		path, _, _ := strings.Cut(drvs[i], "!")
		in = append(in, nix.Input{Attr: attr, DrvPath: path, OutPath: readDrv(t, path).Outputs["out"].Path})
	}
	return in
}

func readDrv(t testing.TB, path string) *derivation.Derivation {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	drv, err := derivation.ReadDerivation(f)
	if err != nil {
		t.Fatal(err)
	}
	return drv
}

// packagesExpr is "let p = …; in", with a package that is alone, one that depends on
// it and on a file, one whose hash is fixed, one with two outputs and one whose
// derivation needs every escape. Each test gets its own, since tests share a store.
func packagesExpr(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf(`let
		mk = name: args: more: derivation ({ inherit name args; builder = builtins.storePath "%s"; system = builtins.currentSystem; salt = "%s"; } // more);
		p = {
			hello = mk "hello" [ "say:building" "file:bin/hello=hello" "file:share/doc/readme=hello" ] { };
			world = mk "world" [ "file:bin/world=world" "file:share/doc/readme=world" ] { inherit (p) hello fetched; src = builtins.toFile "src" "text"; };
			fetched = mk "fetched" [ "write:x" ] { outputHashAlgo = "sha256"; outputHashMode = "flat"; outputHash = builtins.hashString "sha256" "x"; };
			multi = mk "multi" [ "file:bin/multi=multi" "write2" ] { outputs = [ "out" "dev" ]; fetched = p.fetched; };
			quoted = mk "quoted" [ "file:bin/quoted=a\\b\"c\td\ne" ] { text = "a\\b\"c\td\re\nf 'g' ${"$"}{h} é"; };
		};
	in `, nixtest.Tool(t), t.Name())
}

// The derivation that is written here is, byte for byte, the one that Nix writes.
func TestInstantiateAsNix(t *testing.T) {
	e := open(t)
	pkgs := packages(t)
	sets := [][]int{{}, {0}, {2}, {4}, {0, 1, 2, 3, 4}, {4, 2, 0}, {3, 1}}
	var exprs []string
	for _, set := range sets {
		attrs := make([]string, len(set))
		for i, n := range set {
			attrs[i] = "p." + pkgs[n].Attr
		}
		slices.Sort(attrs)
		exprs = append(exprs, fmt.Sprintf("(buildEnv { name = \"shop-env\"; paths = [ %s ]; })", strings.Join(attrs, " ")))
	}
	for i, want := range nixtest.Instantiate(t, packagesExpr(t)+"let buildEnv = "+nix.BuildEnvNix+"; in ["+strings.Join(exprs, "\n")+"]") {
		var in []nix.Input
		for _, n := range sets[i] {
			in = append(in, pkgs[n]) // in an order that must not count
		}
		got, err := e.Instantiate(t.Context(), "shop-env", in)
		if err != nil {
			t.Fatal(err)
		}
		if got.DrvPath != want {
			theirs, _ := os.ReadFile(want)
			ours, _ := os.ReadFile(got.DrvPath)
			t.Errorf("%v: got %s, want %s\n%s", in, got.DrvPath, want, cmp.Diff(string(theirs), string(ours)))
		}
		if out := readDrv(t, want).Outputs["out"].Path; out != got.OutPath {
			t.Errorf("%v: output %s, want %s", in, got.OutPath, out)
		}
	}
}

func TestInstantiateRefuses(t *testing.T) {
	e := open(t)
	pkgs := packages(t)
	gone := pkgs[0]
	gone.DrvPath = "/nix/store/" + strings.Repeat("0", 32) + "-gone.drv"
	if _, err := e.Instantiate(t.Context(), "env", []nix.Input{gone}); nixspace.ErrorCode(err) != "package_not_instantiated" {
		t.Errorf("a derivation that is not there: %v", err)
	}
	wrong := pkgs[0]
	wrong.OutPath = pkgs[1].OutPath
	if _, err := e.Instantiate(t.Context(), "env", []nix.Input{wrong}); err == nil {
		t.Error("an index that is wrong was believed")
	}
	outside := pkgs[0]
	outside.DrvPath = "/nix/store/../../etc/passwd"
	if _, err := e.Instantiate(t.Context(), "env", []nix.Input{outside}); err == nil {
		t.Error("a path that is none was read")
	}
	if _, err := e.Instantiate(t.Context(), "../env", nil); err == nil {
		t.Error("a name that is none was taken")
	}
}

type recorder struct {
	mu  sync.Mutex
	all []nixspace.Progress
}

func (r *recorder) report(p nixspace.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, p)
}

func (r *recorder) has(p nixspace.Progress) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.all, p)
}

func TestRealise(t *testing.T) {
	e := open(t)
	pkgs := packages(t)
	env, err := e.Instantiate(t.Context(), "shop-env", pkgs[:2])
	if err != nil {
		t.Fatal(err)
	}
	var r recorder
	if err := e.Realise(t.Context(), r.report, env.DrvPath); err != nil {
		t.Fatal(err)
	}
	for _, want := range []nixspace.Progress{
		{Job: "hello", Phase: "build"},
		{Job: "hello", Log: "building"},
		{Job: "hello", Phase: "build", Final: true},
		{Job: "shop-env", Phase: "build", Final: true},
	} {
		if !r.has(want) {
			t.Errorf("no %+v in %+v", want, r.all)
		}
	}
	for name, want := range map[string]string{"bin/hello": "hello", "bin/world": "world", "share/doc/readme": "hello"} {
		if got, err := os.ReadFile(filepath.Join(env.OutPath, name)); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v; want %q", name, got, err, want)
		}
	}
	if err := e.Realise(t.Context(), nil, env.DrvPath); err != nil {
		t.Errorf("the second time: %v", err)
	}
	closure, err := e.Closure(t.Context(), env.OutPath)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, i := range closure {
		paths = append(paths, i.Path)
		nar := sha256.New()
		if err := e.Store().WriteNAR(t.Context(), i.Path, nar); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("sha256:%x", nar.Sum(nil)); i.NarHash != want {
			t.Errorf("%s has the hash %s, should have %s", i.Path, i.NarHash, want)
		}
	}
	want := strings.Fields(nixtest.Nix(t, "nix-store", "--query", "--requisites", env.OutPath))
	slices.Sort(want)
	if !slices.Equal(paths, want) {
		t.Errorf("closure %v, Nix says %v", paths, want)
	}
	again, err := e.Closure(t.Context(), env.OutPath, env.OutPath)
	if err != nil || cmp.Diff(closure, again) != "" {
		t.Errorf("the second time: %v\n%s", err, cmp.Diff(closure, again))
	}
}

func TestRealiseFails(t *testing.T) {
	e := open(t)
	drvs := nixtest.Instantiate(t, strings.Replace(packagesExpr(t), "p = {", `p = {
		bad = mk "bad" [ "lines:30" "say:this cannot be" "fail:2" ] { };
		needs-bad = mk "needs-bad" [ "write:x" ] { inherit (p) bad; };`, 1)+"[ p.bad p.needs-bad ]")
	for _, drv := range drvs {
		err := e.Realise(t.Context(), nil, drv)
		var ne *nixspace.Error
		if !errors.As(err, &ne) || ne.Code != "build_failed" || ne.Kind != nixspace.KindBuild {
			t.Fatalf("got %v", err)
		}
		log, _ := ne.Details["log"].([]string)
		if len(log) == 0 || log[len(log)-1] != "this cannot be" || !strings.HasPrefix(ne.Message, "bad could not be built") {
			t.Errorf("%s: %s\n%q", drv, ne, log)
		}
	}
	_, err := e.Closure(t.Context(), "/nix/store/"+strings.Repeat("0", 32)+"-none")
	if nixspace.ErrorCode(err) != "path_missing" {
		t.Errorf("got %v", err)
	}
}

// The garbage collector keeps what is rooted and takes what no longer is.
func TestRoots(t *testing.T) {
	e := open(t)
	var envs []nix.Derivation
	pkgs := packages(t)
	for _, name := range []string{"kept", "dropped", "replaced"} {
		env, err := e.Instantiate(t.Context(), name, pkgs[:2])
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Realise(t.Context(), nil, env.DrvPath); err != nil {
			t.Fatal(err)
		}
		if err := e.Root(t.Context(), "version/"+name, env.OutPath); err != nil {
			t.Fatal(err)
		}
		envs = append(envs, env)
	}
	if err := e.Root(t.Context(), "version/replaced", envs[0].OutPath); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Unroot(t.Context(), "version/dropped"); err != nil {
			t.Fatal(err)
		}
	}
	roots, err := e.Roots(t.Context())
	want := map[string]string{"version/kept": envs[0].OutPath, "version/replaced": envs[0].OutPath}
	if err != nil || cmp.Diff(want, roots) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(want, roots))
	}
	// By the age of the links.
	if err := e.UnrootBefore(t.Context(), "version/kept", time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if roots, err := e.RootsBefore(t.Context(), time.Now().Add(-time.Hour)); err != nil || len(roots) != 0 {
		t.Errorf("older than an hour: %v, %v", roots, err)
	}
	if roots, err := e.RootsBefore(t.Context(), time.Now().Add(time.Hour)); err != nil || len(roots) != 2 {
		t.Errorf("of any age: %v, %v", roots, err)
	}
	if err := e.UnrootBefore(t.Context(), "version/replaced", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := e.UnrootBefore(t.Context(), "version/replaced", time.Now().Add(time.Hour)); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if roots, err := e.Roots(t.Context()); err != nil || len(roots) != 1 {
		t.Errorf("%v, %v", roots, err)
	}
	collect(t, e, envs[1].OutPath, envs[2].OutPath)
	for i, kept := range []bool{true, false, false} {
		_, err := os.Lstat(envs[i].OutPath)
		if kept != (err == nil) {
			t.Errorf("%s: %v", envs[i].OutPath, err)
		}
	}
	if _, err := os.Stat(filepath.Join(envs[0].OutPath, "bin/hello")); err != nil {
		t.Errorf("what a kept environment refers to was collected: %v", err)
	}
}

// collect runs the garbage collector until it has taken paths. The temporary roots of
// the client's connections go when the daemon has noticed that these are closed.
func collect(t *testing.T, e *nix.Engine, paths ...string) {
	t.Helper()
	e.Reconnect()
	deadline := time.Now().Add(nixtest.Patience)
	for {
		nixtest.Nix(t, "nix-store", "--gc")
		left := slices.DeleteFunc(slices.Clone(paths), func(p string) bool {
			_, err := os.Lstat(p)
			return errors.Is(err, os.ErrNotExist)
		})
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the garbage collector does not take %v", left)
		}
	}
}

// A package whose derivation was collected is reported as such, although it was read
// before.
func TestInstantiateAfterGC(t *testing.T) {
	e := open(t)
	pkgs := packages(t)
	if _, err := e.Instantiate(t.Context(), "env", pkgs); err != nil {
		t.Fatal(err)
	}
	collect(t, e, pkgs[4].DrvPath)
	if _, err := e.Instantiate(t.Context(), "env", pkgs); nixspace.ErrorCode(err) != "package_not_instantiated" {
		t.Errorf("got %v", err)
	}
	if _, err := e.Instantiate(t.Context(), "env", packages(t)); err != nil {
		t.Errorf("after they were instantiated again: %v", err)
	}
}

func TestRootInvalid(t *testing.T) {
	e := open(t)
	err := e.Root(t.Context(), "x", "/nix/store/"+strings.Repeat("0", 32)+"-none")
	if nixspace.ErrorCode(err) != "path_missing" {
		t.Errorf("got %v", err)
	}
	if roots, err := e.Roots(t.Context()); err != nil || len(roots) != 0 {
		t.Errorf("roots %v, %v", roots, err)
	}
	for _, name := range []string{"", strings.Repeat("x", 300)} {
		if err := e.Unroot(t.Context(), name); err == nil {
			t.Errorf("%.20q was taken as the name of a root", name)
		}
	}
}

// A closure that is remembered is not taken for valid once its path is gone.
func TestClosureIsForgottenWithItsPath(t *testing.T) {
	e := open(t)
	low, err := e.Store().AddText(t.Context(), "low", []byte("1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	top, err := e.Store().AddText(t.Context(), "top", []byte(low), []string{low})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if c, err := e.Closure(t.Context(), top); err != nil || len(c) != 2 {
			t.Fatalf("closure %v, %v", c, err)
		}
	}
	both, err := e.Closure(t.Context(), top, low)
	if err != nil || len(both) != 2 {
		t.Errorf("closure of both: %v, %v", both, err)
	}
	e.Reconnect()
	nixtest.Delete(t, top)
	if _, err := e.Closure(t.Context(), top); nixspace.ErrorCode(err) != "path_missing" {
		t.Errorf("closure of what was deleted: %v", err)
	}
}
