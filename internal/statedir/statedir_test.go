package statedir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

const limit = 2 * time.Minute

// childDir makes the test binary hold that state directory until it is killed.
const childDir = "STATEDIR_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		d, err := Open(dir)
		if err == nil {
			err = d.Announce(Server{URL: "http://127.0.0.1:1", Token: "secret", PID: os.Getpid()})
		}
		fmt.Println(err)
		select {}
	}
	os.Exit(m.Run())
}

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // a test may have closed it
	return d
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || nixspace.ErrorCode(err) != code {
		t.Fatalf("error is %v, want code %s", err, code)
	}
	var e *nixspace.Error
	if errors.As(err, &e) && e.Hint == "" {
		t.Errorf("%v does not say what to do", err)
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "state")
	d := open(t, path)
	if err := d.Announce(Server{URL: "http://127.0.0.1:7070", Token: "secret", PID: 1}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lock", "id", "server.json"} {
		info, err := os.Stat(d.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o066 != 0 {
		t.Errorf("the directory has mode %v (%v)", info.Mode(), err)
	}
	if len(d.Runtime()) > 60 {
		t.Errorf("the runtime directory %s is too long for sockets", d.Runtime())
	}
	if b, err := os.ReadFile(d.Path("runtime")); err != nil || strings.TrimSpace(string(b)) != d.Runtime() {
		t.Errorf("the runtime file holds %q (%v)", b, err)
	}
	s, err := FindServer(path)
	if err != nil || s.Token != "secret" {
		t.Errorf("found server %+v: %v", s, err)
	}
	id := d.ID()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = FindServer(path)
	wantCode(t, err, "server_not_running")
	if _, err := os.Stat(d.Runtime()); !os.IsNotExist(err) {
		t.Errorf("the runtime directory is left (%v)", err)
	}
	if again := open(t, path); again.ID() != id {
		t.Errorf("the identity changed from %s to %s", id, again.ID())
	}
}

func TestSecondServer(t *testing.T) {
	path := t.TempDir()
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	open(t, path)
	_, err := Open(path)
	wantCode(t, err, "state_locked")
	if !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("%v does not say who has it", err)
	}
}

// The lock of a killed server is free, and its address no longer counts.
func TestKilledServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "<nil>\n" {
		t.Fatalf("the child says %q (%v)", line, err)
	}
	if s, err := FindServer(path); err != nil || s.PID != cmd.Process.Pid {
		t.Errorf("found server %+v: %v", s, err)
	}
	_, err = Open(path)
	wantCode(t, err, "state_locked")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := Wait(ctx, path); err != nil {
		t.Fatal(err)
	}
	_, err = FindServer(path)
	wantCode(t, err, "server_not_running")
	open(t, path)
}

func TestUnusable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open777 := filepath.Join(dir, "open")
	if err := os.Mkdir(open777, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open777, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below"), open777} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, err := Open(path)
			wantCode(t, err, "state_unusable")
		})
	}
}

func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a small file system can only be mounted by root; run the tests as root to cover a full disk")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0711"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	_, err := Open(dir)
	wantCode(t, err, "disk_full")
	// Not even the lock can be written.
	f, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir)
	wantCode(t, err, "disk_full")
}

func TestSecret(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"))
	defer d.Close()
	key, err := d.Secret("some.key")
	if err != nil || len(key) != 32 {
		t.Fatal(len(key), err)
	}
	if again, err := d.Secret("some.key"); err != nil || string(again) != string(key) {
		t.Errorf("another time it is another key, %v", err)
	}
	for _, content := range []string{"", "0123", "no hexadecimal"} {
		if err := os.WriteFile(d.Path("some.key"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Secret("some.key"); nixspace.ErrorCode(err) != "secret_damaged" {
			t.Errorf("%q: %v", content, err)
		}
		if b, err := os.ReadFile(d.Path("some.key")); err != nil || string(b) != content {
			t.Errorf("%q became %q, %v", content, b, err)
		}
	}
}
