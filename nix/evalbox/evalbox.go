// Package evalbox evaluates flakes that users bring, in a box: Nix's own
// restrictions do not keep an evaluation from the machine's files and network.
//
// The box is a set of namespaces (mount, process, network, IPC, host name, and user
// where the system allows it) with a file system of its own in memory: the system's
// programs read-only, an empty /etc, the flake, and a Nix store that has nothing in
// it but what the caller names. No daemon is reachable. Nix runs in there without
// privileges, under limits of time, memory and output. What it wrote, derivations
// and the files that they need, is handed back; whether any of it gets into the real
// store is up to the caller. When an evaluation ends, however it ends, the box and
// all that was in it are gone.
//
// The box is made by the program itself, which starts itself again: a program that
// uses the package calls [Main] first of all.
package evalbox

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/nixspace/nixspace"
)

// The codes of errors.
const (
	CodeUnavailable = "evalbox_unavailable"  // this machine cannot make a box
	CodeInvalid     = "flake_invalid"        // the flake is wrong; details "file", "line" and "column" say where, if it is known
	CodeLimit       = "flake_limit"          // it takes too long, or wants too much
	CodeConfig      = "flake_config_refused" // it brings settings for Nix
	CodeInput       = "flake_input_refused"  // an input is of a kind that is not allowed
	CodeMissing     = "flake_input_missing"  // an input is allowed, but is not on this machine
	CodeNoOutput    = "flake_no_output"      // it has neither a development shell nor a package
)

// Limits bound one evaluation. A zero field takes the default.
type Limits struct {
	Wall   time.Duration // from begin to end; 60 s
	CPU    time.Duration // processor time of each process; 30 s
	Memory int64         // bytes, of everything in the box with its files; 2 GiB
	Files  int64         // bytes of files that are written in the box; 256 MiB
	Print  int64         // bytes that Nix prints; 8 MiB
	Result int64         // bytes that are handed back; 64 MiB
}

func (l Limits) orDefault() Limits {
	set := func(v *int64, def int64) {
		if *v <= 0 {
			*v = def
		}
	}
	if l.Wall <= 0 {
		l.Wall = time.Minute
	}
	if l.CPU <= 0 {
		l.CPU = 30 * time.Second
	}
	set(&l.Memory, 2<<30)
	set(&l.Files, 256<<20)
	set(&l.Print, 8<<20)
	set(&l.Result, 64<<20)
	return l
}

// Config says how boxes are made.
type Config struct {
	// Nix is the absolute path of the program nix; nix-store must be beside it.
	Nix string
	// Closure are the store paths that Nix itself needs, where it is in the store.
	Closure []string
	// Settings are further settings of Nix.
	Settings map[string]string
	Limits   Limits
	// NoUserNamespace makes boxes without one, which only root can.
	NoUserNamespace bool
	Log             *slog.Logger
}

// Box evaluates flakes. It is safe for concurrent use; each evaluation has a box of
// its own.
type Box struct {
	cfg    Config
	log    *slog.Logger
	warned sync.Once
	turns  *semaphore.Weighted
}

// maxBoxes is how many boxes there are at the same time; others wait.
const maxBoxes = 2

// New returns a Box.
func New(cfg Config) *Box {
	b := &Box{cfg: cfg, log: cfg.Log, turns: semaphore.NewWeighted(maxBoxes)}
	b.cfg.Limits = cfg.Limits.orDefault()
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	return b
}

// Tree is a source tree in the real store that a flake may use: the box shows it at
// its path.
type Tree struct {
	Path    string // "/nix/store/…-source"
	NARHash string // SHA-256 of its NAR, in lower-case hex
	NARSize int64
}

// Request is what to evaluate.
type Request struct {
	// Files is the flake's own tree, by path with slashes; flake.nix is in it.
	Files map[string][]byte
	// System is Nix's name of the platform whose outputs are wanted.
	System string
	// Trees are what inputs may be, and Names which of them an input of a registry's
	// name is: name → path.
	Trees []Tree
	Names map[string]string
	// Overrides replaces inputs: name → path of one of the Trees.
	Overrides map[string]string
}

// Result is what a flake came to.
type Result struct {
	Attr        string // which output it is: "devShells.x86_64-linux.default"
	Shell       bool   // it is a development shell, not a package
	Description string // as the flake describes itself
	DrvPath     string // its derivation
	Output      string // the name of the output that counts: "out"
	OutPath     string
	Lock        []byte // flake.lock; empty where there are no inputs
	// Derivations are DrvPath and all that it needs: path → text.
	Derivations map[string][]byte
	// Sources are the other files of the store that they need, as NARs, without the
	// request's trees. Nothing says that a NAR is what belongs at its path: check it.
	Sources map[string][]byte
}

// The bounds of a flake's own tree.
const (
	MaxFiles    = 200
	MaxFileSize = 256 << 10
	MaxTreeSize = 2 << 20
)

// CheckFiles refuses a tree that is too large, or whose paths are no paths in it.
func CheckFiles(files map[string][]byte) error {
	if _, ok := files["flake.nix"]; !ok {
		return nixspace.Errorf(nixspace.KindInvalid, CodeInvalid, "there is no flake.nix")
	}
	if len(files) > MaxFiles {
		return nixspace.Errorf(nixspace.KindLimit, CodeLimit, "the flake has %d files, of %d allowed", len(files), MaxFiles)
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name == "" || len(name) > 255 || !filepath.IsLocal(name) || name != filepath.ToSlash(filepath.Clean(name)) || strings.ContainsAny(name, "\x00\n\\") {
			return nixspace.Errorf(nixspace.KindInvalid, CodeInvalid, "%.80q cannot be the path of a file in a flake", name)
		}
		if n := len(files[name]); n > MaxFileSize {
			return nixspace.Errorf(nixspace.KindLimit, CodeLimit, "%s has %d bytes, of %d allowed", name, n, MaxFileSize)
		}
		for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
			if _, ok := files[dir]; ok {
				return nixspace.Errorf(nixspace.KindInvalid, CodeInvalid, "%s is a file and a folder", dir)
			}
		}
		total += len(files[name])
	}
	if total > MaxTreeSize {
		return nixspace.Errorf(nixspace.KindLimit, CodeLimit, "the flake has %d bytes, of %d allowed", total, MaxTreeSize)
	}
	return nil
}

// Evaluate evaluates a flake and returns what its development shell is, or else its
// package. It first looks at what the flake says of its inputs and settings, in a box
// of its own, and refuses what is not allowed before anything else of it is used.
//
// It fails with one of the codes above.
func (b *Box) Evaluate(ctx context.Context, r Request) (*Result, error) {
	if err := CheckFiles(r.Files); err != nil {
		return nil, err
	}
	lock, err := parseLock(r.Files["flake.lock"])
	if err != nil {
		return nil, err
	}
	p := policy{request: &r, lock: lock}
	if err := p.checkLock(lock); err != nil {
		return nil, err
	}
	if lock != nil {
		r.Files = maps.Clone(r.Files)
		if r.Files["flake.lock"], err = withoutLocal(r.Files["flake.lock"], lock); err != nil {
			return nil, err
		}
	}
	s := b.spec(r)
	s.Task = taskInspect
	rep, err := b.run(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := p.checkHeader(rep.Header); err != nil {
		return nil, err
	}
	description := rep.Header.Description
	s.Task = taskEvaluate
	if rep, err = b.run(ctx, s); err != nil {
		return nil, err
	}
	if len(rep.Lock) > 0 { // inputs of inputs are known only now
		if lock, err = parseLock(rep.Lock); err == nil {
			err = p.checkLock(lock)
		}
		if err != nil {
			return nil, err
		}
	}
	res, err := rep.result()
	if err == nil {
		res.Description = description
	}
	return res, err
}

func (r *report) result() (*Result, error) {
	if r.Found == nil {
		return nil, errors.New("evaluate a flake: the box found nothing")
	}
	f := r.Found
	if f.Attr == "" {
		return nil, nixspace.Errorf(nixspace.KindInvalid, CodeNoOutput, "the flake has no development shell and no package for this system").
			WithHint("define devShells.%s.default or packages.%s.default", f.System, f.System)
	}
	return &Result{
		Attr: f.Attr, Shell: f.Shell, DrvPath: f.DrvPath, Output: f.Output, OutPath: f.OutPath,
		Lock: r.Lock, Derivations: r.Derivations, Sources: r.Sources,
	}, nil
}

// visible are directories of the machine that a box shows, with Nix and what Nix
// needs. None of them holds anybody's data.
func (b *Box) visible() ([]string, error) {
	dirs := []string{"/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"}
	bin, err := filepath.EvalSymlinks(b.cfg.Nix)
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "nix_missing", "there is no program nix: %w", err)
	}
	dirs = append(dirs, b.cfg.Closure...)
	for _, p := range []string{bin, b.cfg.Nix} {
		if strings.HasPrefix(p, "/usr/") || strings.HasPrefix(p, nixspace.StoreDir+"/") || strings.HasPrefix(p, "/bin/") {
			continue
		}
		// Nix in a folder of its own: DIR/bin/nix. A folder that holds more than
		// programs is not shown.
		dir := filepath.Dir(filepath.Dir(p))
		home, _ := os.UserHomeDir()
		if filepath.Base(filepath.Dir(p)) != "bin" || strings.Count(dir, "/") < 2 || dir == home || strings.HasPrefix(dir, "/home/") && strings.Count(dir, "/") < 3 {
			return nil, nixspace.Errorf(nixspace.KindUnavailable, CodeUnavailable, "Nix is at %s, which cannot be shown to flakes without showing more", p).
				WithHint("install Nix in the system's folders, or in a folder of its own")
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}
