//go:build system

// Package system tests NixSpace as a user meets it: the real binary, real Nix,
// real PostgreSQL, real virtual machines. It runs under the build tag system,
// after `make build`.
package system

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds everything that is waited for. It is far more than anything
// takes, also on a loaded machine with cold caches.
const patience = 25 * time.Minute

// binary is the program under test.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("NIXSPACE_BIN")
	if path == "" {
		path = filepath.Join("..", "..", "bin", "nixspace")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no program to test: %v (run make build)", err)
	}
	return path
}

// server is a running `nixspace up`.
type server struct {
	t     *testing.T
	state string
	cmd   *exec.Cmd
	done  chan struct{} // closed when it ended

	mu   sync.Mutex
	news *sync.Cond
	out  []string // lines of both streams
	err  error    // of the process, once done is closed
}

// up starts a server and waits until it says that it is ready.
func up(t *testing.T, state string, args ...string) *server {
	t.Helper()
	return upBy(t, nil, state, args...)
}

// upBy is up by another program, which runs what stands after its own arguments.
func upBy(t *testing.T, by []string, state string, args ...string) *server {
	t.Helper()
	s := launch(t, state, slices.Concat(by, upCommand(t, state, args...))...)
	s.waitFor("NixSpace is ready")
	return s
}

// upCommand is the command line of a server.
func upCommand(t *testing.T, state string, args ...string) []string {
	return append([]string{binary(t), "up", "--state", state, "--listen", "127.0.0.1:0"}, args...)
}

// launch starts a server by its command line.
func launch(t *testing.T, state string, argv ...string) *server {
	t.Helper()
	s := &server{t: t, state: state, done: make(chan struct{})}
	s.news = sync.NewCond(&s.mu)
	s.cmd = exec.Command(argv[0], argv[1:]...)
	// Templates are made when a test asks for it: it would see their machines.
	s.cmd.Env = append(os.Environ(), "NO_COLOR=1", "NIXSPACE_PREWARM=false")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			s.mu.Lock()
			s.out = append(s.out, lines.Text())
			s.news.Broadcast()
			s.mu.Unlock()
		}
	}()
	go func() {
		err := s.cmd.Wait()
		s.mu.Lock()
		s.err = err
		close(s.done)
		s.news.Broadcast()
		s.mu.Unlock()
	}()
	t.Cleanup(func() {
		select {
		case <-s.done:
		default:
			s.signal(syscall.SIGINT)
			<-s.done
		}
		if t.Failed() {
			t.Logf("output of nixspace up:\n%s", s.output())
		}
	})
	return s
}

func (s *server) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.out, "\n")
}

// waitFor waits until a line of the output contains text.
func (s *server) waitFor(text string) {
	s.t.Helper()
	timer := time.AfterFunc(patience, s.news.Broadcast)
	defer timer.Stop()
	deadline := time.Now().Add(patience)
	s.mu.Lock()
	defer s.mu.Unlock()
	for !slices.ContainsFunc(s.out, func(l string) bool { return strings.Contains(l, text) }) {
		select {
		case <-s.done:
			s.t.Fatalf("nixspace up ended (%v) before it said %q:\n%s", s.err, text, strings.Join(s.out, "\n"))
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("nixspace up never said %q:\n%s", text, strings.Join(s.out, "\n"))
		}
		s.news.Wait()
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatal(err)
	}
}

// interrupt stops the server as Ctrl-C does and waits for its end.
func (s *server) interrupt() {
	s.t.Helper()
	s.signal(syscall.SIGINT)
	<-s.done
	if s.err != nil {
		s.t.Errorf("nixspace up ended with %v after an interrupt", s.err)
	}
}

// result is what a command line did.
type result struct {
	stdout, stderr string
	code           int
}

// cli runs one command line against the state directory's server.
func cli(t *testing.T, state string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	cmd.Env = append(os.Environ(), "NIXSPACE_STATE="+state, "NO_COLOR=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("nixspace %s: %v", strings.Join(args, " "), err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// ok runs a command line that must succeed and returns what it printed.
func ok(t *testing.T, state string, args ...string) string {
	t.Helper()
	r := cli(t, state, args...)
	if r.code != 0 {
		t.Fatalf("nixspace %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// okJSON runs a command line with --json and reads its result.
func okJSON[T any](t *testing.T, state string, args ...string) T {
	t.Helper()
	var v T
	out := ok(t, state, append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("nixspace %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return v
}

// processes returns the command lines, by process id, that name the state
// directory, anything in it, or one of its sessions.
func processes(t *testing.T, state string) map[int]string {
	t.Helper()
	found := map[int]string{}
	marks := [][]byte{[]byte(state)}
	for _, dir := range []string{"sessions", "prewarm"} {
		sessions, err := os.ReadDir(filepath.Join(state, dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, s := range sessions {
			marks = append(marks, []byte(s.Name()))
		}
	}
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil || !slices.ContainsFunc(marks, func(mark []byte) bool { return bytes.Contains(b, mark) }) {
			continue // it ended meanwhile, or is another's
		}
		var pid int
		if err := json.Unmarshal([]byte(strings.Split(p, "/")[2]), &pid); err == nil && pid != os.Getpid() {
			found[pid] = string(bytes.ReplaceAll(b, []byte{0}, []byte{' '}))
		}
	}
	return found
}

var machineProcess = regexp.MustCompile(`^\S*qemu-system-x86_64 `)

// machinesOf returns the process ids of the state directory's virtual machines.
func machinesOf(t *testing.T, state string) []int {
	var pids []int
	for pid, cmdline := range processes(t, state) {
		if machineProcess.MatchString(cmdline) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
