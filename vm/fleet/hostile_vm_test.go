//go:build vm

package fleet

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/runner"
	"github.com/nixspace/nixspace/vm/vmtest"
)

// TestHostileGuest runs programs that want all that there is: of the log, of the
// channel, of the way out, of the disk, of memory, of processes. The machine beside
// it answers all the time, and the machine itself says how it stands, and can be
// stopped.
func TestHostileGuest(t *testing.T) {
	h := newHost(t)
	l := h.fleet()
	beside := h.start(l, h.spec())
	spec := h.spec()
	spec.Egress = nixspace.Egress{Allow: []string{"a.example"}}
	spec.Services = []nixspace.Service{{Name: "flood", Argv: []string{"flood"}}}
	m := h.start(l, spec)
	well := func(what string) {
		t.Helper()
		if got := h.output(beside, "ids"); got != "1000 1000 vm" {
			t.Errorf("%s: the machine beside says %q", what, got)
		}
		s, err := m.Status(h.ctx)
		if err != nil || s.Status != nixspace.SessionRunning {
			t.Errorf("%s: its status is %+v, %v", what, s.Status, err)
		}
	}
	// The service has flooded its log since the start.
	well("a flood of its log")
	log, err := m.Logs(h.ctx, "flood", false)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, log); err != nil || n > 1<<20 {
		t.Errorf("its log has %d bytes, %v", n, err)
	}
	log.Close()
	if _, err := m.(nixspace.ServiceController).ControlService(h.ctx, "flood", nixspace.ServiceStop); err != nil {
		t.Errorf("the service cannot be stopped: %v", err)
	}

	// Streams that nobody reads.
	var floods []nixspace.Process
	for range 40 {
		p, err := m.Exec(h.ctx, nixspace.Command{Argv: []string{"flood"}, Dir: "/"})
		if err != nil {
			t.Errorf("start a flood: %v", err)
			break
		}
		floods = append(floods, p)
	}
	well("floods of its channel")
	if got := h.output(m, "echo", "it answers"); got != "it answers" {
		t.Errorf("beside floods it says %q", got)
	}
	for _, p := range floods {
		if err := p.Close(); err != nil {
			t.Errorf("end a flood: %v", err)
		}
	}

	// More than there is of the disk and of memory.
	if _, err := vmtest.Output(h.ctx, m, "fill", "/data/full", "1000"); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("more than the disk holds: %v", err)
	}
	well("a full disk")
	if _, err := vmtest.Output(h.ctx, m, "allocate", "2000"); err == nil {
		t.Error("there is more memory than the machine has")
	}
	well("no memory")
	if got := h.output(m, "echo", "it answers"); got != "it answers" {
		t.Errorf("after it was out of memory it says %q", got)
	}

	// More processes than it can have. It may not answer in time itself then, but
	// says so, and stops.
	bomb, err := m.Exec(h.ctx, nixspace.Command{Argv: []string{"bomb"}, Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer bomb.Close()
	for range 5 {
		well("a bomb")
		time.Sleep(time.Second) // so that it can grow
	}
	state := h.state(l, spec.SessionID)
	for _, name := range []string{runner.ConsoleFile, runner.LogFile, runner.StateFile} {
		if info, err := os.Stat(filepath.Join(l.sessionDir(spec.SessionID), name)); err != nil || info.Size() > 8<<20 {
			t.Errorf("%s on the host: %v, %v", name, info, err)
		}
	}
	stopping, cancel := context.WithTimeout(h.ctx, vmtest.Patience)
	defer cancel()
	if err := m.Stop(stopping); err != nil {
		t.Fatal(err)
	}
	if s := h.await(l, spec.SessionID, ended); s.Status != nixspace.SessionStopped && s.Reason == "" {
		t.Errorf("its last status: %+v", s)
	}
	h.gone(l, spec.SessionID, state)
	if got := h.output(beside, "echo", "still here"); got != "still here" {
		t.Errorf("%q", got)
	}
}
