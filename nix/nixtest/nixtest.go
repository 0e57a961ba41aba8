// Package nixtest runs tests with a real Nix and a store of their own.
//
// Store paths contain the store's place, /nix/store, in their hashes, so a test
// store must be there too. [Main] therefore runs the test binary again in a mount
// namespace in which /nix is an empty directory of its own. Nothing that a test
// does in there, the garbage collector included, reaches the machine's store.
package nixtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	insideVar  = "NIXSPACE_NIXTEST_INSIDE"
	enteredVar = "NIXSPACE_NIXTEST_ENTERED"
	newestVar  = "NIXSPACE_NEW_NIX" // a directory that scripts/newest-nix made
	whichVar   = "NIXSPACE_NIXTEST_NEWEST"
	// Patience is how long a test waits for something that must happen, on a
	// machine that may be busy with much else.
	Patience = 2 * time.Minute
)

// Config is the Nix configuration that tests use: no caches, a real sandbox, and
// nothing of the machine's own configuration.
const Config = `experimental-features = nix-command flakes
substituters =
sandbox = true
sandbox-fallback = false
`

// buildUsers is the group that Nix's builds run as where there is one, as
// package nix has it.
const buildUsers = "nixbld"

func hasBuildUsers() bool {
	if os.Geteuid() != 0 {
		return false
	}
	_, err := user.LookupGroup(buildUsers)
	return err == nil
}

// Main runs the tests of a package with an empty store at /nix. Call it from
// TestMain, which then does nothing else but pass its result to os.Exit.
func Main(m *testing.M) int {
	if dir := os.Getenv(insideVar); dir != "" {
		// Processes that a test starts, or fuzzing, are in the namespace already.
		if os.Getenv(enteredVar) != "" {
			return m.Run()
		}
		if err := enter(dir); err != nil {
			fmt.Fprintln(os.Stderr, "nixtest:", err)
			return 1
		}
		return m.Run()
	}
	return outside("")
}

// MainAll is like [Main], and then runs the tests once more with the newest Nix that
// Debian has, where scripts/newest-nix has unpacked it: in the directory
// $NIXSPACE_NEW_NIX, or in the cache where scripts/test has it. Benchmarks and fuzz
// targets run only with the installed Nix.
func MainAll(m *testing.M) int {
	if os.Getenv(insideVar) != "" {
		return Main(m)
	}
	for _, arg := range os.Args[1:] {
		if strings.HasPrefix(arg, "-test.bench=") || strings.HasPrefix(arg, "-test.fuzz") || strings.HasPrefix(arg, "-test.list") {
			return outside("")
		}
	}
	if code := outside(""); code != 0 {
		return code
	}
	dir := os.Getenv(newestVar)
	if cache, err := os.UserCacheDir(); dir == "" && err == nil {
		dir = filepath.Join(cache, "nixspace-test", "newest-nix")
	}
	if _, err := os.Stat(filepath.Join(dir, "bin", "nix")); err != nil {
		if os.Getenv(newestVar) != "" {
			fmt.Fprintf(os.Stderr, "nixtest: $%s has no Nix: %v\n", newestVar, err)
			return 1
		}
		fmt.Fprintf(os.Stderr, "nixtest: NOT TESTED AGAINST THE NEWEST NIX: set %s to what scripts/newest-nix prints\n", newestVar)
		return 0
	}
	fmt.Fprintln(os.Stderr, "nixtest: once more, with the newest Nix")
	return outside(dir)
}

// Newest reports whether the tests run with the newest Nix, not the installed one.
func Newest() bool { return os.Getenv(whichVar) != "" }

// Settings are what the Nix that the tests run with needs besides [Config].
func Settings() map[string]string {
	if !Newest() {
		return nil
	}
	// This Nix runs through its own dynamic linker, so it cannot run itself as a
	// build hook; and the shell that it would show to builders is not there.
	return map[string]string{"build-hook": "", "sandbox-paths": ""}
}

func config(more ...string) string {
	c := Config + "build-users-group =\n"
	if hasBuildUsers() {
		c = Config + "build-users-group = " + buildUsers + "\n"
	}
	for k, v := range Settings() {
		c += k + " = " + v + "\n"
	}
	return c + strings.Join(more, "\n")
}

func outside(newest string) int {
	code, err := again(newest)
	if err != nil {
		fmt.Fprintln(os.Stderr, "nixtest:", err)
		return 1
	}
	return code
}

// again runs the test binary in a mount namespace of its own.
func again(newest string) (code int, err error) {
	if _, err := exec.LookPath("nix"); err != nil {
		return 0, errors.New("these tests need Nix, and there is no nix in PATH (Debian: nix-bin)")
	}
	dir, err := os.MkdirTemp("", "nixtest-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/nix", 0o755); err != nil {
			return 0, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	// The parent-death signal below is sent when this thread ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(context.Background(), self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVar+"="+dir, whichVar+"="+newest)
	if newest != "" {
		cmd.Env = append(cmd.Env, "PATH="+filepath.Join(newest, "bin")+":"+os.Getenv("PATH"))
	}
	// The tests get a home of their own, but not a Go build cache of their own.
	for _, v := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		out, err := exec.CommandContext(context.Background(), "go", "env", v).Output()
		if err != nil {
			return 0, fmt.Errorf("ask go for %s: %w", v, err)
		}
		cmd.Env = append(cmd.Env, v+"="+strings.TrimSpace(string(out)))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Unshareflags: syscall.CLONE_NEWNS}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 0, fmt.Errorf("run the tests in a mount namespace: %w", err)
	}
	return 0, nil
}

func enter(dir string) error {
	nix := filepath.Join(dir, "nix")
	if err := os.Mkdir(nix, 0o755); err != nil {
		return err
	}
	if hasBuildUsers() {
		if err := sharePools(nix); err != nil {
			return fmt.Errorf("share the build users: %w", err)
		}
	}
	if err := syscall.Mount(nix, "/nix", "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("mount a store of our own at /nix (which must exist): %w", err)
	}
	for k, v := range map[string]string{
		enteredVar: "1", "HOME": filepath.Join(dir, "home"), "NIX_CONFIG": config(), "NIX_CONF_DIR": filepath.Join(dir, "none"),
		"NIX_USER_CONF_FILES": "", "NIX_REMOTE": "", "NIX_PATH": "", "NIX_DAEMON_SOCKET_PATH": "",
		"XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": "",
	} {
		var err error
		if v == "" {
			err = os.Unsetenv(k)
		} else {
			err = os.Setenv(k, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sharePools makes the locks of the build users those of the machine's own Nix.
// Nix kills whatever runs as a build user before it takes that user, so two stores
// that did not see each other's locks would kill each other's builds.
func sharePools(nix string) error {
	for _, pool := range []string{"userpool", "userpool2"} { // before and since Nix 2.11
		ours, shared := filepath.Join(nix, "var/nix", pool), filepath.Join("/nix/var/nix", pool)
		for _, dir := range []string{ours, shared} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		if err := syscall.Mount(shared, ours, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// removeAll removes a tree with directories that are read-only, as a store's are.
func removeAll(dir string) error {
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(p, 0o700)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(dir))
}

// Socket returns a short path for a unix socket: the system refuses paths of more
// than 107 bytes, and a test's own temporary directory may have one.
func Socket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "nxs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// StartDaemon runs a Nix daemon over the test's store until the test ends, and
// returns its socket. Further lines of configuration may be given.
func StartDaemon(t testing.TB, more ...string) string {
	t.Helper()
	socket := Socket(t)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "nix-daemon")
	cmd.Env = append(os.Environ(), "NIX_DAEMON_SOCKET_PATH="+socket, "NIX_REMOTE=local",
		"NIX_CONFIG="+config(more...))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // for Pdeathsig
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		cancel()
		t.Fatalf("start the nix daemon: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("the nix daemon said:\n%s", stderr.String())
		}
	})
	deadline := time.Now().Add(Patience)
	for {
		c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err == nil {
			_ = c.Close()
			return socket
		}
		select {
		case <-ended:
			t.Fatalf("the nix daemon ended at once:\n%s", stderr.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the nix daemon does not listen: %v", err)
		}
	}
}

// Nix runs a command of Nix ("nix", "nix-instantiate"…) with the test's store and
// returns what it prints, without the last line break.
func Nix(t testing.TB, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, stderr.String())
	}
	return strings.TrimSuffix(stdout.String(), "\n")
}

// NeedDevelop skips a test of nix develop in a chroot: before the shell starts, Nix
// enters its first mount namespace again, and with that leaves the chroot and the
// shell's own files in it.
func NeedDevelop(t testing.TB) {
	t.Helper()
	here, err := os.Stat("/")
	if err != nil {
		t.Fatal(err)
	}
	if there, err := rootOfNamespace(); err == nil && !os.SameFile(here, there) {
		t.Skip("SKIPPED: nix develop does not work in a chroot")
	}
}

// rootOfNamespace returns what / is to who enters this mount namespace, which only
// root may do.
func rootOfNamespace() (root os.FileInfo, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err = unix.Unshare(unix.CLONE_FS); err != nil {
			return
		}
		var ns *os.File
		if ns, err = os.Open("/proc/thread-self/ns/mnt"); err != nil {
			return
		}
		defer ns.Close()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
			return
		}
		root, err = os.Stat("/")
	}()
	<-done
	return root, err
}

// Delete deletes paths from the test's store. What kept them may be a connection
// that was closed just now, whose process in the daemon is about to end: Delete
// waits for that.
func Delete(t testing.TB, paths ...string) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		out, err := exec.CommandContext(ctx, "nix-store", append([]string{"--delete"}, paths...)...).CombinedOutput()
		cancel()
		if err == nil {
			return
		}
		if !strings.Contains(string(out), "still alive") || time.Now().After(deadline) {
			t.Fatalf("nix-store --delete: %v\n%s", err, out)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Instantiate writes the derivations of an expression to the store and returns
// their paths, in the order of the expression's list.
func Instantiate(t testing.TB, expr string) []string {
	t.Helper()
	return strings.Split(Nix(t, "nix-instantiate", "--expr", expr), "\n")
}

// Tool adds a small static program to the store, to be the builder of test
// derivations, and returns its path: no other program is in the build sandbox.
// See tool/main.go for what it does.
func Tool(t testing.TB) string {
	t.Helper()
	bin, err := buildTool()
	if err != nil {
		t.Fatal(err)
	}
	return Nix(t, "nix-store", "--add", bin)
}

var buildTool = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(os.Getenv(insideVar), "tool")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-o", bin,
		"github.com/nixspace/nixspace/nix/nixtest/tool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the test tool: %w\n%s", err, out)
	}
	return bin, nil
})
