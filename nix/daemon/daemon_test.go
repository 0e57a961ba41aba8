package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace/nix/daemon"
	"github.com/nixspace/nixspace/nix/nixtest"
)

func TestMain(m *testing.M) { os.Exit(nixtest.MainAll(m)) }

func client(t testing.TB) *daemon.Client {
	t.Helper()
	c := daemon.NewClient(daemon.Config{Socket: nixtest.StartDaemon(t)})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestInfo(t *testing.T) {
	noLeaks(t)
	c := daemon.NewClient(daemon.Config{Socket: nixtest.StartDaemon(t)})
	defer c.Close()
	info, err := c.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := nixtest.Nix(t, "nix", "--version"); !strings.HasSuffix(want, " "+info.Version) || info.Protocol < 34 {
		t.Errorf("got %+v from %s", info, want)
	}
}

func TestText(t *testing.T) {
	c := client(t)
	ctx := t.Context()
	a, err := c.AddText(ctx, "a.txt", []byte("hello"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(a); err != nil || string(got) != "hello" {
		t.Fatalf("%s has %q, %v", a, got, err)
	}
	if want := nixtest.Nix(t, "nix", "eval", "--raw", "--expr", `builtins.toFile "a.txt" "hello"`); a != want {
		t.Errorf("added as %s, Nix says %s", a, want)
	}
	b, err := c.AddText(ctx, "b.txt", []byte("see "+a), []string{a})
	if err != nil {
		t.Fatal(err)
	}
	info, err := c.PathInfo(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(info.References, []string{a}) || info.Path != b || !strings.HasPrefix(info.CA, "text:") {
		t.Errorf("got %+v", info)
	}
	if want := nixtest.Nix(t, "nix-store", "--query", "--size", b); fmt.Sprint(info.NarSize) != want {
		t.Errorf("size %d, Nix says %s", info.NarSize, want)
	}
	none := "/nix/store/" + strings.Repeat("0", 32) + "-none"
	if _, err := c.PathInfo(ctx, none); !errors.Is(err, daemon.ErrNotValid) {
		t.Errorf("a path that is not there: %v", err)
	}
	if _, err := c.PathInfos(ctx, []string{a, none, b}); !errors.Is(err, daemon.ErrNotValid) {
		t.Errorf("one of three is not there: %v", err)
	}
	if ok, err := c.IsValidPath(ctx, none); ok || err != nil {
		t.Errorf("IsValidPath(none) = %v, %v", ok, err)
	}
	if ok, err := c.IsValidPath(ctx, a); !ok || err != nil {
		t.Errorf("IsValidPath(a) = %v, %v", ok, err)
	}
	valid, err := c.ValidPaths(ctx, []string{none, b, a})
	if want := slices.Sorted(slices.Values([]string{a, b})); err != nil || !slices.Equal(valid, want) {
		t.Errorf("ValidPaths = %v, %v", valid, err)
	}
	var derr *daemon.Error
	if _, err := c.AddText(ctx, "c.txt", []byte("x"), []string{none}); !errors.As(err, &derr) {
		t.Errorf("text that refers to nothing: %v", err)
	}
	if ok, err := c.IsValidPath(ctx, a); !ok || err != nil {
		t.Errorf("after a refusal the client no longer works: %v, %v", ok, err)
	}
}

func TestAddFixed(t *testing.T) {
	c := client(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB: many frames
	for _, algo := range []string{"sha1", "sha256", "sha512"} {
		for size := range map[int]bool{0: true, 1: true, 65536: true, len(big): true} {
			name := fmt.Sprintf("file-%s-%d", algo, size)
			info, err := c.AddFixed(t.Context(), name, daemon.Flat, algo, bytes.NewReader(big[:size]))
			if err != nil {
				t.Fatal(err)
			}
			tmp := t.TempDir() + "/" + name
			if err := os.WriteFile(tmp, big[:size], 0o600); err != nil {
				t.Fatal(err)
			}
			if want := nixtest.Nix(t, "nix-store", "--add-fixed", algo, tmp); info.Path != want {
				t.Errorf("%s was added as %s, Nix adds it as %s", name, info.Path, want)
			}
		}
	}
}

// A tree that is read back as an archive and added again has the same path.
func TestArchive(t *testing.T) {
	c := client(t)
	dir := t.TempDir() + "/tree"
	for _, f := range []struct {
		name string
		mode os.FileMode
	}{{"a/b/c", 0o644}, {"a/run", 0o755}, {"z", 0o644}} {
		p := dir + "/" + f.name
		if err := os.MkdirAll(p[:strings.LastIndex(p, "/")], 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(f.name), f.mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("a/b", dir+"/link"), os.Mkdir(dir+"/empty", 0o755), os.WriteFile(dir+"/nothing", nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	path := nixtest.Nix(t, "nix-store", "--add-fixed", "--recursive", "sha256", dir)
	var nar bytes.Buffer
	if err := c.WriteNAR(t.Context(), path, &nar); err != nil {
		t.Fatal(err)
	}
	if want := nixtest.Nix(t, "nix-store", "--dump", path); nar.String() != want {
		t.Errorf("the archive has %d bytes, Nix's has %d", nar.Len(), len(want))
	}
	info, err := c.AddFixed(t.Context(), "tree", daemon.Recursive, "sha256", &nar)
	if err != nil || info.Path != path {
		t.Errorf("added again as %s, %v; want %s", info.Path, err, path)
	}
	if err := c.WriteNAR(t.Context(), path, failingWriter{}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("a full disk: %v", err)
	}
	if ok, err := c.IsValidPath(t.Context(), path); !ok || err != nil {
		t.Errorf("after that the client no longer works: %v, %v", ok, err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// A source that ends too early, or fails, adds nothing; the client works on.
func TestAddFixedBroken(t *testing.T) {
	noLeaks(t)
	c := client(t)
	for _, fault := range []error{errors.New("disk on fire"), io.ErrUnexpectedEOF} {
		src := io.MultiReader(strings.NewReader(strings.Repeat("x", 300_000)), errReader{fault})
		if info, err := c.AddFixed(t.Context(), "broken", daemon.Flat, "sha256", src); !errors.Is(err, fault) {
			t.Errorf("got %v, %v; want %v", info.Path, err, fault)
		}
	}
	// The daemon refuses: this is no archive.
	var derr *daemon.Error
	junk := strings.NewReader(strings.Repeat("junk", 1<<20))
	if info, err := c.AddFixed(t.Context(), "junk", daemon.Recursive, "sha256", junk); !errors.As(err, &derr) {
		t.Errorf("junk was added as %s: %v", info.Path, err)
	}
	if _, err := c.AddText(t.Context(), "fine", []byte("x"), nil); err != nil {
		t.Errorf("after that the client no longer works: %v", err)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestBuild(t *testing.T) {
	c := client(t)
	tool := nixtest.Tool(t)
	drvs := nixtest.Instantiate(t, fmt.Sprintf(`let d = name: args: derivation {
		inherit name args; builder = builtins.storePath "%s"; system = builtins.currentSystem; };
		in [ (d "good" [ "phase:build" "say:one" "lines:3" "write:x" ]) (d "bad" [ "say:that is wrong" "fail:3" ]) ]`, tool))
	var lines, phases []string
	var started int
	results, err := c.Build(t.Context(), []string{drvs[0] + "!out"}, func(e daemon.Event) {
		switch {
		case e.Kind == daemon.EventStart && e.Type == daemon.ActBuild && e.String(0) == drvs[0]:
			started++
		case e.Kind == daemon.EventResult && e.Result == daemon.ResBuildLogLine:
			lines = append(lines, e.String(0))
		case e.Kind == daemon.EventResult && e.Result == daemon.ResSetPhase:
			phases = append(phases, e.String(0))
		}
	})
	if err != nil || len(results) != 1 || results[0].Status != daemon.Built {
		t.Fatalf("got %+v, %v", results, err)
	}
	if want := []string{"one", "line 1", "line 2", "line 3"}; !slices.Equal(lines, want) || started != 1 || !slices.Equal(phases, []string{"build"}) {
		t.Errorf("log %q, %d starts, phases %q", lines, started, phases)
	}
	results, err = c.Build(t.Context(), []string{drvs[0] + "!*", drvs[1] + "!out"}, nil)
	if err != nil || len(results) != 2 {
		t.Fatalf("got %+v, %v", results, err)
	}
	for _, r := range results {
		switch {
		case strings.HasPrefix(r.Target, drvs[0]) && r.Status == daemon.AlreadyValid:
		case strings.HasPrefix(r.Target, drvs[1]) && r.Status == daemon.PermanentFailure && strings.Contains(r.Message, "exit code 3"):
		default:
			t.Errorf("unexpected %+v", r)
		}
	}
	m, err := c.Missing(t.Context(), []string{drvs[0] + "!out", drvs[1] + "!out"})
	if err != nil || !slices.Equal(m.Build, drvs[1:]) {
		t.Errorf("Missing = %+v, %v", m, err)
	}
}

// Giving up ends the build, on the daemon's side too: its lock is free again.
func TestBuildCanceled(t *testing.T) {
	noLeaks(t)
	c := client(t)
	tool := nixtest.Tool(t)
	drv := nixtest.Instantiate(t, fmt.Sprintf(`derivation { name = "endless"; args = [ "say:go" "wait" ];
		builder = builtins.storePath "%s"; system = builtins.currentSystem; }`, tool))[0]
	for range 2 { // the second one gets to build only if the first one has ended
		ctx, cancel := context.WithCancel(t.Context())
		_, err := c.Build(ctx, []string{drv + "!out"}, func(e daemon.Event) {
			if e.Result == daemon.ResBuildLogLine {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
	if _, err := c.Info(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNoDaemon(t *testing.T) {
	c := daemon.NewClient(daemon.Config{Socket: nixtest.Socket(t)})
	defer c.Close()
	var perr *daemon.ProtocolError
	if _, err := c.Info(t.Context()); !errors.As(err, &perr) {
		t.Errorf("got %v", err)
	}
	_ = c.Close()
	if _, err := c.Info(t.Context()); !errors.Is(err, daemon.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// noLeaks checks, after everything that the test cleans up, that no goroutine is
// left of it.
func noLeaks(t *testing.T) {
	now := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, now) })
}
