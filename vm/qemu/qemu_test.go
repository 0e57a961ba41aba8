package qemu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm"
	"github.com/nixspace/nixspace/vm/vmtest"
)

func TestMain(m *testing.M) {
	// TestProbe runs this program as a KVM probe.
	if len(os.Args) > 1 && os.Args[1] == "probe" {
		if err := ProbeMain(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		vmtest.Clean()
		os.Exit(code)
	}))
}

func goodSpec() vm.Spec {
	return vm.Spec{
		ID: "test-1", CPUs: 2, MemoryMiB: 512, Kernel: "/kernel", Initramfs: "/initramfs",
		Layers: []vm.Drive{{Serial: "layer0", Path: "/a,b"}, {Serial: "layer1", Path: "/c"}},
		Disks:  []vm.Drive{{Serial: "disk", Path: "/d"}},
	}
}

func TestArguments(t *testing.T) {
	args := arguments(goodSpec(), "tcg", clock{khz: 2_000_000}, fds{data: 3, control: 4, monitor: 5, kernel: 6, initramfs: 7, drives: []int{8, 9, 10}})
	line := strings.Join(args, " ")
	for _, want := range []string{
		"-nodefaults", "-no-user-config", "-no-reboot",
		"-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-smp 2", "-m 512M",
		"-add-fd fd=8,set=1 -blockdev driver=raw,node-name=drive0,file.driver=file,file.filename=/dev/fdset/1,read-only=on",
		"virtio-blk-device,drive=drive2,serial=disk",
		"tsc_early_khz=2000000 lpj=8000000",
		"name=nixspace.data", "name=nixspace.ctl",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %s", want, line)
		}
	}
	for _, never := range []string{"netdev", "-nic", "virtio-net", "/a,b", "/kernel", "-daemonize", "vnc"} {
		if strings.Contains(line, never) {
			t.Errorf("%q in %s", never, line)
		}
	}
	if i := slices.Index(args, "-blockdev"); !strings.Contains(args[i+1], "read-only=on") {
		t.Errorf("the first layer can be written: %s", args[i+1])
	}
	kvm := strings.Join(arguments(goodSpec(), "kvm", clock{}, fds{drives: []int{1, 2, 3}}), " ")
	if strings.Contains(kvm, "tsc=") || !strings.Contains(kvm, "-accel kvm -cpu host") {
		t.Errorf("with KVM: %s", kvm)
	}
}

func TestSpecsAreChecked(t *testing.T) {
	if err := check(goodSpec()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*vm.Spec){
		"an option in the name":   func(s *vm.Spec) { s.ID = "a,debug-threads=on" },
		"no name":                 func(s *vm.Spec) { s.ID = "" },
		"no processor":            func(s *vm.Spec) { s.CPUs = 0 },
		"many processors":         func(s *vm.Spec) { s.CPUs = 1000 },
		"no memory":               func(s *vm.Spec) { s.MemoryMiB = 0 },
		"an option in a serial":   func(s *vm.Spec) { s.Layers[0].Serial = "a,write-cache=on" },
		"a long serial":           func(s *vm.Spec) { s.Layers[0].Serial = strings.Repeat("a", 21) },
		"equal serials":           func(s *vm.Spec) { s.Layers[0].Serial = "disk" },
		"two disks":               func(s *vm.Spec) { s.Disks = append(s.Disks, vm.Drive{Serial: "disk2"}) },
		"a line in the parameter": func(s *vm.Spec) { s.Append = "a\nb" },
		"too many layers": func(s *vm.Spec) {
			for i := range maxLayers + 1 {
				s.Layers = append(s.Layers, vm.Drive{Serial: fmt.Sprint("l", i)})
			}
		},
	} {
		s := goodSpec()
		s.Layers = slices.Clone(s.Layers)
		spoil(&s)
		if err := check(s); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestMissingQEMU(t *testing.T) {
	_, err := New(Config{Binary: "/nonexistent/qemu"}).Probe(context.Background())
	if nixspace.ErrorCode(err) != "qemu_missing" || !strings.Contains(err.Error(), "qemu-system-x86") {
		t.Errorf("got %v", err)
	}
	_, err = New(Config{Binary: "/bin/sh", Accel: "hvf"}).Probe(context.Background())
	if nixspace.ErrorCode(err) != "accel_invalid" {
		t.Errorf("got %v", err)
	}
}

func TestMachineUsers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.String().Draw(t, "id")
		if uid := machineUser(id); uid < firstUser || uid > firstUser+0xffffff {
			t.Fatalf("%q gets user %#x", id, uid)
		}
	})
}

func TestClock(t *testing.T) {
	khz, err := tscKHz()
	if err != nil {
		t.Fatal(err)
	}
	// A second measurement over another time must agree.
	t0, n0, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	t1, n1, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	again := float64(t1-t0) / float64(n1-n0) * 1e6
	if off := math.Abs(again-float64(khz)) / again; off > 1e-3 {
		t.Errorf("%d kHz and %.0f kHz", khz, again)
	}
}

func TestTail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []byte
		tl := newTail(16)
		for range rapid.IntRange(0, 8).Draw(t, "writes") {
			p := rapid.SliceOfN(rapid.ByteRange('a', 'z'), 0, 40).Draw(t, "bytes")
			all = append(all, p...)
			if n, err := tl.Write(p); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
		}
		if want := string(all[max(0, len(all)-16):]); tl.String() != want {
			t.Fatalf("kept %q, want %q", tl.String(), want)
		}
	})
	tl := newTail(100)
	fmt.Fprint(tl, "\x1b[31mred\x00\r\nline \xff two\n")
	if got := tl.String(); got != "[31mred\nline � two" {
		t.Errorf("shown as %q", got)
	}
}

// peer plays QEMU's part on a monitor: it answers each line by what script says.
func peer(t *testing.T, greeting string, script func(line string) string) (*monitor, error) {
	t.Helper()
	ours, other, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer other.Close()
		fmt.Fprint(other, greeting)
		lines := bufio.NewScanner(other)
		for lines.Scan() {
			if _, err := io.WriteString(other, script(lines.Text())); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { ours.Close(); <-ended })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return dialMonitor(ctx, ours, nil)
}

const greeting = `{"QMP":{"version":{},"capabilities":[]}}` + "\n"

func TestMonitor(t *testing.T) {
	m, err := peer(t, greeting, func(line string) string {
		var c struct {
			Execute string
			ID      int
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			return "garbage\n"
		}
		switch c.Execute {
		case "fail":
			return fmt.Sprintf(`{"error":{"class":"GenericError","desc":"no luck"},"id":%d}`+"\n", c.ID)
		case "end":
			return "this is no message\n"
		}
		return fmt.Sprintf(`{"event":"RESUME","data":{}}`+"\n"+`{"return":{"n":%d},"id":%d}`+"\n", c.ID, c.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	results := make(chan error, 20)
	for range 20 {
		go func() {
			_, err := m.command(ctx, "query", nil)
			results <- err
		}()
	}
	for range 20 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if _, err := m.command(ctx, "fail", nil); err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("got %v", err)
	}
	if _, err := m.command(ctx, "end", nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after garbage: %v", err)
	}
}

func TestMonitorWithoutGreeting(t *testing.T) {
	for _, said := range []string{"not QMP\n", strings.Repeat("x", maxMessage+1), "{"} {
		ours, other, err := socketPair()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = io.WriteString(other, said)
			other.Close()
		}()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if _, err := dialMonitor(ctx, ours, nil); err == nil || ctx.Err() != nil {
			t.Errorf("%.20q: %v", said, err)
		}
		cancel()
		ours.Close()
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte(greeting))
	f.Add([]byte(`{"return":{},"id":1}` + "\n" + `{"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-reset"}}`))
	f.Add([]byte(`{"id":-1}` + "\n\n" + `{"id":1e99}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		in := &instance{}
		_ = readMessages(bytes.NewReader(b), func(m message) { in.event(event{m.Event, m.Data}) })
	})
}

func TestProbe(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := New(Config{Binary: "/bin/true", Self: []string{self, "probe"}})
	v := d.tryKVM(context.Background())
	if v.Reason == "" {
		t.Errorf("no reason: %+v", v)
	}
	t.Logf("KVM on this host: %+v", v)
	for name, c := range map[string]struct {
		self   []string
		usable bool
		reason string
	}{
		"hangs":   {[]string{"sleep", "60"}, false, "emulated"},
		"garbage": {[]string{"echo", "hello"}, false, "probe failed"},
		"missing": {[]string{"/nonexistent"}, false, "probe failed"},
		"works":   {[]string{"echo", `{"usable":true,"reason":"fine"}`}, true, "fine"},
	} {
		d := New(Config{Binary: "/bin/true", Self: c.self})
		if v := d.tryKVM(context.Background()); v.Usable != c.usable || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestVerdictsAreKeptForABoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache", "kvm.json")
	if _, ok := readVerdict(path, "b1"); ok {
		t.Error("a verdict before there was one")
	}
	writeVerdict(path, verdict{Usable: true, Reason: "ok", BootID: "b1"})
	if v, ok := readVerdict(path, "b1"); !ok || !v.Usable {
		t.Errorf("%+v, %v", v, ok)
	}
	if _, ok := readVerdict(path, "b2"); ok {
		t.Error("the verdict outlived the boot")
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := readVerdict(path, "b1"); ok {
		t.Error("garbage is a verdict")
	}
}

func TestLoopNeedsKVM(t *testing.T) {
	if _, err := timeLoop("/dev/null"); err == nil {
		t.Error("/dev/null ran a guest")
	}
}
