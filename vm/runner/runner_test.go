package runner

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func testSpec(t *testing.T) (dir string, s Spec) {
	run, err := os.MkdirTemp("", "run") // short: the socket lies in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	s = Spec{
		Machine: nixspace.MachineSpec{SessionID: nixspace.NewID(), Generation: 2, CPUs: 1, MemoryMiB: 128, DiskMiB: 64},
		Host:    Host{Socket: filepath.Join(run, "s"), QEMU: "/bin/true", Accel: "tcg", Kernel: "/nonexistent", Boot: t.TempDir(), Volumes: t.TempDir()},
	}
	return t.TempDir(), s
}

func TestSpecAndState(t *testing.T) {
	dir, s := testSpec(t)
	if _, err := ReadSpec(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no spec: %v", err)
	}
	if err := WriteSpec(dir, s); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSpec(dir)
	if diff := cmp.Diff(s, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := ReadState(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no state: %v", err)
	}
	state := State{Machine: nixspace.MachineStatus{SessionID: s.Machine.SessionID, Status: nixspace.SessionRunning}, VMM: Process{1, 2}}
	if err := WriteState(dir, state); err != nil {
		t.Fatal(err)
	}
	if back, err := ReadState(dir); err != nil || cmp.Diff(state, back) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(state, back))
	}
	for _, bad := range []string{"", "{", `{"machine":{"session_id":"../x"}}`, "null", strings.Repeat("[", 1<<20)} {
		if err := os.WriteFile(filepath.Join(dir, SpecFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSpec(dir); err == nil {
			t.Errorf("%.20q is a spec", bad)
		}
	}
	entries, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"machine":{"session_id":"x","status":"running"},"runner":{"pid":1,"start":18446744073709551615}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s State
		if json.Unmarshal(b, &s) == nil {
			_ = s.Machine.Status.Live()
		}
	})
}

func TestOneRunnerPerSession(t *testing.T) {
	dir, s := testSpec(t)
	if err := WriteSpec(dir, s); err != nil {
		t.Fatal(err)
	}
	lock, err := TryLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	if err := Main(patient(t), dir, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrLocked) {
		t.Errorf("a second runner: %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := WaitLock(over, dir); !errors.Is(err, ErrLocked) {
		t.Errorf("waiting for nothing: %v", err)
	}
	lock.Unlock()
	again, err := WaitLock(patient(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Unlock()
	if _, err := TryLock(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestMainRecordsFailure(t *testing.T) {
	dir, s := testSpec(t)
	if err := WriteSpec(dir, s); err != nil {
		t.Fatal(err)
	}
	if err := Main(patient(t), dir, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a session without a kernel ended well")
	}
	state, err := ReadState(dir)
	m := state.Machine
	if err != nil || m.Status != nixspace.SessionFailed || m.ReasonCode != "kernel_missing" || m.Generation != 2 || m.Reason == "" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := os.Stat(s.Host.Socket); err == nil {
		t.Error("the socket is left")
	}
	lock, err := TryLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	lock.Unlock()
}

func TestLongSocketPath(t *testing.T) {
	dir, s := testSpec(t)
	s.Host.Socket = "/" + strings.Repeat("x", maxSocketPath)
	if err := WriteSpec(dir, s); err != nil {
		t.Fatal(err)
	}
	if err := Main(patient(t), dir, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a socket got a path that is too long")
	}
	if state, err := ReadState(dir); err != nil || state.Machine.Status != nixspace.SessionFailed {
		t.Errorf("%+v, %v", state.Machine, err)
	}
}

func TestProcess(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	p, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := Process{PID: p.PID, Start: p.Start + 1}
	if err := other.Kill(patient(t).Done()); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
		t.Fatal("a process was killed for another that had its id before")
	default:
	}
	if err := p.Kill(patient(t).Done()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("it was not killed")
	}
	for _, p := range []Process{p, {}, {PID: 1}, {PID: -1}} {
		if err := p.Kill(patient(t).Done()); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func TestCleanupRunsAllLastFirst(t *testing.T) {
	var c cleanup
	var order []int
	broken := errors.New("broken")
	for i := range 4 {
		c.add(fmt.Sprint("step ", i), func() error {
			order = append(order, i)
			if i == 2 {
				return broken
			}
			return nil
		})
	}
	if err := c.run(); !errors.Is(err, broken) || !strings.Contains(err.Error(), "step 2") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]int{3, 2, 1, 0}, order); diff != "" {
		t.Error(diff)
	}
	if err := c.run(); err != nil || len(order) != 4 {
		t.Errorf("a second run: %v, %v", order, err)
	}
}

func TestHubKeepsTheLastState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHub()
		w := h.watch()
		n := rapid.IntRange(1, 3*maxPending).Draw(t, "updates")
		last := int64(0)
		for i := range n {
			if i == n-1 || rapid.Bool().Draw(t, "status") {
				last = int64(i + 1)
				h.publish(Update{Status: &nixspace.MachineStatus{Generation: last}})
			} else {
				h.publish(Update{Progress: &nixspace.Progress{}})
			}
		}
		h.close()
		updates, ended := w.take()
		if len(updates) > maxPending || !ended {
			t.Fatalf("%d updates, ended %v", len(updates), ended)
		}
		final := updates[len(updates)-1]
		if final.Status == nil || final.Status.Generation != last {
			t.Fatalf("the last update is %+v, want status %d", final, last)
		}
		late, ended := h.watch().take()
		if len(late) != 1 || late[0].Status.Generation != last || !ended {
			t.Fatalf("a late watcher gets %+v, %v", late, ended)
		}
	})
}

func TestConsole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console.log")
	c, err := openConsole(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx := patient(t)
	var followed bytes.Buffer
	var g sync.WaitGroup
	started := make(chan struct{})
	var once sync.Once
	fmt.Fprintln(c, "first")
	g.Go(func() {
		if err := c.copyTo(ctx, &followed, true, func() { once.Do(func() { close(started) }) }); err != nil {
			t.Error(err)
		}
	})
	<-started
	fmt.Fprintln(c, "second")
	var now bytes.Buffer
	if err := c.copyTo(ctx, &now, false, func() {}); err != nil || now.String() != "first\nsecond\n" {
		t.Errorf("%q, %v", now.String(), err)
	}
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for range 4 * consoleFile / len(line) {
		if _, err := c.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintln(c, "last")
	if err := errors.Join(c.close(), c.close()); err != nil {
		t.Fatal(err)
	}
	g.Wait()
	if got := followed.String(); !strings.HasPrefix(got, "first\n") || !strings.HasSuffix(got, "last\n") {
		t.Errorf("a follower got %d bytes", len(got))
	}
	total := int64(0)
	for _, p := range []string{path, path + ".1"} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 2*consoleFile || total < consoleFile {
		t.Errorf("files of %d bytes", total)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.HasSuffix(b, []byte("last\n")) {
		t.Errorf("the file does not end as the console does: %v", err)
	}
}

func TestAbandoned(t *testing.T) {
	r := &runner{contact: time.Now().Add(-time.Hour)}
	if !r.abandoned(time.Minute) {
		t.Error("after an hour without requests it is not abandoned")
	}
	var during, after bool
	h := r.counted(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { during = r.abandoned(time.Minute) }))
	h.ServeHTTP(nil, nil)
	after = r.abandoned(time.Minute)
	if during || after {
		t.Errorf("abandoned during a request: %v, after it: %v", during, after)
	}
}

// TestRelay joins two connections and sends in both directions at once.
func TestRelay(t *testing.T) {
	clientEnd, client := net.Pipe()
	guestEnd, guest := net.Pipe()
	var g sync.WaitGroup
	g.Go(func() { relay(client, bufio.NewReader(client), guest) })
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	send := func(w io.Writer) func() {
		return func() {
			if _, err := w.Write(big); err != nil {
				t.Error(err)
			}
		}
	}
	receive := func(r io.Reader) func() {
		return func() {
			b := make([]byte, len(big))
			if _, err := io.ReadFull(r, b); err != nil || !bytes.Equal(b, big) {
				t.Errorf("other bytes came than were sent: %v", err)
			}
		}
	}
	var both sync.WaitGroup
	for _, f := range []func(){send(clientEnd), receive(clientEnd), send(guestEnd), receive(guestEnd)} {
		both.Go(f)
	}
	both.Wait()
	clientEnd.Close() // the end of one side ends the other
	g.Wait()
	guestEnd.Close()
}

func TestClientOfNobody(t *testing.T) {
	ctx := patient(t)
	c := NewClient(filepath.Join(t.TempDir(), "nothing"))
	_, statusErr := c.Status(ctx)
	_, stopErr := c.Stop(ctx)
	_, openErr := c.Open(ctx)
	_, logsErr := c.Logs(ctx, true)
	watchErr := c.Watch(ctx, func(Update) {})
	for _, err := range []error{statusErr, stopErr, openErr, logsErr, watchErr} {
		if nixspace.ErrorCode(err) != "machine_gone" {
			t.Errorf("got %v", err)
		}
	}
}

// TestClientOfGarbage lets something else answer than a runner.
func TestClientOfGarbage(t *testing.T) {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 1024))
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nthis is no JSON at a")
			})
		}
	})
	defer served.Wait()
	defer l.Close()
	ctx := patient(t)
	c := NewClient(socket)
	if _, err := c.Status(ctx); err == nil {
		t.Error("garbage is a status")
	}
	if err := c.Watch(ctx, func(Update) {}); err == nil {
		t.Error("garbage is an update")
	}
	if _, err := c.Open(ctx); err == nil {
		t.Error("garbage is a stream")
	}
}
