package guest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/guest/journal"
	"github.com/nixspace/nixspace/vm/wire"
)

// fakePorts are the two ports of a machine, each a socket pair. Closing the
// guest's end of one leaves the port there to be opened again.
type fakePorts struct {
	mu    sync.Mutex
	inUse map[string]bool
	guest map[string]*net.UnixConn
	host  map[string]*net.UnixConn
}

func newFakePorts(t *testing.T) *fakePorts {
	t.Helper()
	p := &fakePorts{inUse: map[string]bool{}, guest: map[string]*net.UnixConn{}, host: map[string]*net.UnixConn{}}
	for _, name := range []string{wire.PortCtl, wire.PortData} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, ends := range []map[string]*net.UnixConn{p.guest, p.host} {
			f := os.NewFile(uintptr(fds[i]), name)
			c, err := net.FileConn(f)
			_ = f.Close()
			if err != nil {
				t.Fatal(err)
			}
			ends[name] = c.(*net.UnixConn)
			t.Cleanup(func() { _ = c.Close() })
		}
	}
	return p
}

func (p *fakePorts) open(name string) (io.ReadWriteCloser, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inUse[name] {
		return nil, unix.EBUSY
	}
	p.inUse[name] = true
	_ = p.guest[name].SetDeadline(time.Time{})
	return &fakePort{UnixConn: p.guest[name], ports: p, name: name}, nil
}

type fakePort struct {
	*net.UnixConn
	ports *fakePorts
	name  string
}

func (f *fakePort) Close() error {
	f.ports.mu.Lock()
	defer f.ports.mu.Unlock()
	f.ports.inUse[f.name] = false
	return f.SetDeadline(time.Unix(1, 0))
}

func TestPortsAreResetInTheMiddleOfAnything(t *testing.T) {
	root := t.TempDir()
	a, err := NewProcess(Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	ports := newFakePorts(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&portServer{agent: a, open: ports.open}).run(ctx)
	}()
	link := wire.NewLink(ports.host[wire.PortCtl], ports.host[wire.PortData])
	t.Cleanup(func() { cancel(); <-done; a.Close(); _ = link.Close() })

	patient, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	client := wire.NewClient(link.Open)
	for range 4 {
		if err := link.Reset(patient); err != nil {
			t.Fatal(err)
		}
		p, err := client.Exec(patient, nixspace.Command{Argv: []string{"sh", "-c", "head -c 5000000 /dev/zero; sleep 1000"}, Dir: root})
		if err != nil {
			t.Fatal(err)
		}
		// The port is full of the command's output when it is reset.
		if _, err := io.ReadFull(p.Stdout(), make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if err := link.Reset(patient); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, p.Stdout()); nixspace.ErrorCode(err) != "machine_lost" {
			t.Errorf("the output of the old session ends with %v", err)
		}
		if _, err := p.Wait(); nixspace.ErrorCode(err) != "machine_lost" {
			t.Errorf("the command of the old session ends with %v", err)
		}
		if _, err := client.Ping(patient); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheProfileSurvivesAShell(t *testing.T) {
	root := t.TempDir()
	a, err := NewProcess(Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	env := map[string]string{"PLAIN": "a", "QUOTES": `it's "$HOME" \ ` + "`x`", "LINES": "a\nb", "not-a-name": "x"}
	file := filepath.Join(root, "profile")
	if err := os.WriteFile(file, []byte(profile(env)), 0o644); err != nil {
		t.Fatal(err)
	}
	log := journal.NewLog()
	sv := &service{agent: a, spec: nixspace.Service{Dir: root}}
	p, drained, err := sv.launch([]string{"sh", "-eu", "-c", `. "$0"; printf '%s|%s|%s' "$PLAIN" "$QUOTES" "$LINES"`, file}, log)
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	<-drained
	want := env["PLAIN"] + "|" + env["QUOTES"] + "|" + env["LINES"]
	if got, _, _ := log.From(0, 1000); string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLookup(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"one/tool": 0o644, "two/tool": 0o755, "two/other": 0o755} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	path := fmt.Sprintf("%s/one:%s/two:.", dir, dir)
	for _, c := range []struct{ name, want, code string }{
		{"tool", "/two/tool", ""},
		{"./other", "/two/other", ""},
		{dir + "/two/tool", "/two/tool", ""},
		{"nothing", "", "command_not_found"},
		{"../one/tool", "", "command_not_executable"},
		{"./nothing", "", "command_not_found"},
		{"..", "", "command_not_found"},
	} {
		got, err := lookup(c.name, path, dir+"/two")
		if c.code != "" {
			if nixspace.ErrorCode(err) != c.code {
				t.Errorf("%s: %q, %v", c.name, got, err)
			}
			continue
		}
		if diff := cmp.Diff(dir+c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %s, %v", c.name, diff, err)
		}
	}
}

func TestIdentityIsChecked(t *testing.T) {
	good := wire.IdentityRequest{Hostname: "shop-1", MachineID: strings.Repeat("0a", 16), Entropy: make([]byte, 64)}
	if err := checkIdentity(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*wire.IdentityRequest){
		"host name":  func(r *wire.IdentityRequest) { r.Hostname = "a b" },
		"no name":    func(r *wire.IdentityRequest) { r.Hostname = "" },
		"long name":  func(r *wire.IdentityRequest) { r.Hostname = strings.Repeat("a", 64) },
		"new line":   func(r *wire.IdentityRequest) { r.Hostname = "a\n127.0.0.1 evil" },
		"machine id": func(r *wire.IdentityRequest) { r.MachineID = "short" },
		"entropy":    func(r *wire.IdentityRequest) { r.Entropy = make([]byte, 31) },
	} {
		bad := good
		change(&bad)
		if err := checkIdentity(bad); nixspace.ErrorCode(err) != "identity_invalid" {
			t.Errorf("%s passes: %v", name, err)
		}
	}
}
