package evalbox

import (
	_ "embed" // for the expressions
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/nix-community/go-nix/pkg/derivation"
	"github.com/nix-community/go-nix/pkg/nar"

	"github.com/nixspace/nixspace/nix/daemon"
)

//go:embed inspect.nix
var inspectNix string

//go:embed evaluate.nix
var evaluateNix string

// perform does a task inside the box.
func perform(s *spec) *report {
	w := &work{spec: s, rep: &report{}}
	var err error
	switch s.Task {
	case taskProbe:
		_, err = w.nix("probe", "nix", nil, "--version")
	case taskInspect:
		err = w.inspect()
	case taskEvaluate:
		err = w.evaluate()
	default:
		err = fmt.Errorf("there is no task %q", s.Task)
	}
	if err != nil && w.rep.Step == "" {
		w.rep.Broken = err.Error()
	}
	return w.rep
}

type work struct {
	*spec
	rep *report
}

// errStep says that Nix failed; the report has why.
var errStep = errors.New("nix failed")

// nix runs a command of Nix without privileges and returns what it prints. When it
// returns, no process of it is left.
func (w *work) nix(step, command string, stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.Command(filepath.Join(filepath.Dir(w.Nix), command), args...)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=/usr/bin:/bin", "HOME=" + homeDir, "USER=nobody", "LANG=C.UTF-8", "TMPDIR=/tmp", "TERM=dumb",
		"NIX_CONFIG=" + w.Config, "NIX_CONF_DIR=/etc", "NIX_USER_CONF_FILES=/dev/null", "NIX_REMOTE=local",
	}
	cmd.Stdin = strings.NewReader(string(stdin))
	kill := func() { _ = cmd.Process.Kill() } // Nix does not mind that nobody reads what it prints
	stdout, stderr := &limited{max: w.Limits.Print, full: kill}, &tail{max: w.Limits.Print, full: kill}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !w.UserNS {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(w.UID), Gid: uint32(w.UID)}
	}
	err := cmd.Run()
	killRest()
	if err == nil && !stdout.over && stderr.total <= stderr.max {
		return stdout.buf.Bytes(), nil
	}
	w.rep.Step, w.rep.Stderr = step, daemon.Plain(stderr.String())
	w.rep.Overflow = stdout.over || stderr.total > stderr.max
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		ws, _ := exit.Sys().(syscall.WaitStatus)
		if w.rep.Exit = exit.ExitCode(); ws.Signaled() {
			w.rep.Signal = ws.Signal().String()
		}
	case err != nil && !w.rep.Overflow:
		w.rep.Step = ""
		return nil, fmt.Errorf("run %s: %w", command, err)
	}
	var fs syscall.Statfs_t
	if syscall.Statfs("/nix", &fs) == nil {
		w.rep.NoSpace = fs.Bavail < 16 || fs.Ffree < 16
	}
	return nil, errStep
}

// inspect evaluates what of a flake is no output. What it may read is the flake.
func (w *work) inspect() error {
	out, err := w.nix("inspect", "nix", nil, "eval", "--json", "--impure", "--option", "restrict-eval", "true",
		"-I", "flake="+flakeDir, "--expr", inspectNix)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, &w.rep.Header)
}

func (w *work) evaluate() error {
	if err := w.register(); err != nil {
		return err
	}
	lock := []string{"flake", "lock", "path:" + flakeDir}
	for name, path := range w.Overrides {
		// Inputs of inputs are a.b here and a/b there.
		lock = append(lock, "--override-input", strings.ReplaceAll(name, ".", "/"), "path:"+path)
	}
	if _, err := w.nix("lock", "nix", nil, lock...); err != nil {
		return err
	}
	var err error
	if w.rep.Lock, err = os.ReadFile(flakeDir + "/flake.lock"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// The folder is as old as before.
	for _, p := range []string{flakeDir, flakeDir + "/flake.lock"} {
		if err := os.Chtimes(p, epoch, epoch); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	out, err := w.nix("metadata", "nix", nil, "flake", "metadata", "--json", "--no-update-lock-file", "path:"+flakeDir)
	if err != nil {
		return err
	}
	var meta struct {
		Path   string
		Locked struct {
			NarHash      string `json:"narHash"`
			LastModified int64  `json:"lastModified"`
		}
	}
	if err := json.Unmarshal(out, &meta); err != nil {
		return fmt.Errorf("read the metadata of a flake: %w", err)
	}
	ref := fmt.Sprintf("path:%s?narHash=%s&lastModified=%d", meta.Path, url.QueryEscape(meta.Locked.NarHash), meta.Locked.LastModified)
	expr := strings.NewReplacer("@REF@", ref, "@SYSTEM@", w.System).Replace(evaluateNix)
	if out, err = w.nix("evaluate", "nix", nil, "eval", "--json", "--expr", expr); err != nil {
		return err
	}
	if err := json.Unmarshal(out, &w.rep.Found); err != nil {
		return fmt.Errorf("read what a flake came to: %w", err)
	}
	if w.rep.Found.Attr == "" {
		return nil
	}
	return w.collect()
}

// register tells the store in the box of the trees that are shown in it.
func (w *work) register() error {
	if len(w.Trees) == 0 {
		return nil
	}
	var b strings.Builder
	for _, t := range w.Trees {
		// path, hash, size, deriver, number of references
		fmt.Fprintf(&b, "%s\n%s\n%d\n\n0\n", t.Path, t.NARHash, t.NARSize)
	}
	_, err := w.nix("register", "nix-store", []byte(b.String()), "--load-db")
	return err
}

// collect reads the derivation and what it needs out of the box's store.
func (w *work) collect() error {
	w.rep.Derivations, w.rep.Sources = map[string][]byte{}, map[string][]byte{}
	var size int64
	left := func(n int64) bool {
		size += n
		w.rep.TooLarge = w.rep.TooLarge || size > w.Limits.Result
		return !w.rep.TooLarge
	}
	sources := map[string]bool{}
	for todo := []string{w.rep.Found.DrvPath}; len(todo) > 0; {
		path := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if _, done := w.rep.Derivations[path]; done {
			continue
		}
		text, err := readStore(path, w.Limits.Result-size)
		if errors.Is(err, errLarge) {
			w.rep.TooLarge = true
			return nil
		}
		if err != nil {
			return err
		}
		if !left(int64(len(text))) {
			return nil
		}
		w.rep.Derivations[path] = text
		drv, err := derivation.ReadDerivation(strings.NewReader(string(text)))
		if err != nil {
			w.rep.Unreadable = fmt.Sprintf("%s: %v", filepath.Base(path), err)
			return nil
		}
		for in := range drv.InputDerivations {
			todo = append(todo, in)
		}
		for _, src := range drv.InputSources {
			sources[src] = true
		}
	}
	for src := range sources {
		if slices.ContainsFunc(w.Trees, func(t Tree) bool { return t.Path == src }) {
			continue
		}
		if err := daemon.CheckStorePath(src); err != nil {
			return err
		}
		out := &limited{max: w.Limits.Result - size}
		if err := nar.DumpPath(out, src); err != nil {
			if w.rep.TooLarge = out.over; out.over {
				return nil
			}
			return fmt.Errorf("pack %s: %w", src, err)
		}
		if !left(int64(out.buf.Len())) {
			return nil
		}
		w.rep.Sources[src] = out.buf.Bytes()
	}
	return nil
}

var errLarge = errors.New("it is too large")

// readStore reads a file of the box's store, and follows no link out of it.
func readStore(path string, limit int64) ([]byte, error) {
	if err := daemon.CheckStorePath(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := &limited{max: limit}
	if _, err := io.Copy(out, f); err != nil {
		if out.over {
			err = errLarge
		}
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return out.buf.Bytes(), nil
}
