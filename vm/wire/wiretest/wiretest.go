// Package wiretest is the conformance suite of the guest protocol: what every
// agent must do behind every transport, whether it runs in a microVM or in an
// ordinary process.
package wiretest

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// patience is how long anything may take. It is no measure of speed: it only ends
// a test that hangs, on a machine of any load, emulated or not.
const patience = 3 * time.Minute

// Guest is one guest that runs, configured and without services.
type Guest struct {
	Open wire.OpenFunc
	// Dir is a directory in the guest that exists and that the user dev can write:
	// the suite keeps its files there.
	Dir string
	// Echo is a command that listens on a TCP port of 127.0.0.1, prints the port's
	// number and a line feed, and sends back what each connection sends, up to its
	// end. Where it is nil, connections are only tried where nothing listens.
	Echo  []string
	Dev   bool // programs run as the user dev, 1000:1000
	Clock bool // the guest's clock is its own, and may be set
}

// Run runs the suite. It asks start for a new guest for each group of tests; the
// guest ends with the test that it was started for, and start may call t.Parallel. Programs that it uses in the
// guest: sh, and those of coreutils.
func Run(t *testing.T, start func(t *testing.T) Guest) {
	for _, g := range []struct {
		name string
		test func(*testing.T, *guest)
	}{
		{"Protocol", testProtocol},
		{"Exec", testExec},
		{"Terminal", testTerminal},
		{"Terminals", testTerminals},
		{"Flow", testFlow},
		{"Files", testFiles},
		{"Dial", testDial},
		{"Services", testServices},
		{"Crashes", testCrashes},
		{"Policies", testPolicies},
		{"Control", testControl},
		{"Logs", testLogs},
		{"Shutdown", testShutdown},
	} {
		t.Run(g.name, func(t *testing.T) {
			running := start(t)
			g.test(t, &guest{Guest: running, Client: wire.NewClient(running.Open)})
		})
	}
}

type guest struct {
	Guest
	*wire.Client
}

// result is how a command ended.
type result struct {
	stdout, stderr string
	code           int
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// start starts a command and makes sure that it ends with the test.
func (g *guest) start(t *testing.T, c nixspace.Command) nixspace.Process {
	t.Helper()
	if c.Dir == "" {
		c.Dir = g.Dir
	}
	p, err := g.Exec(patient(t), c)
	if err != nil {
		t.Fatalf("start %q: %v", c.Argv, err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// run runs a command to its end with the given input.
func (g *guest) run(t *testing.T, c nixspace.Command, input string) result {
	t.Helper()
	p := g.start(t, c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.WriteString(p.Stdin(), input)
		_ = p.Stdin().Close()
	}()
	var stdout, stderr bytes.Buffer
	errs := make(chan error, 1)
	go func() {
		_, err := io.Copy(&stderr, p.Stderr())
		errs <- err
	}()
	if _, err := io.Copy(&stdout, p.Stdout()); err != nil {
		t.Fatalf("stdout of %q: %v", c.Argv, err)
	}
	if err := <-errs; err != nil {
		t.Fatalf("stderr of %q: %v", c.Argv, err)
	}
	code, err := p.Wait()
	if err != nil {
		t.Fatalf("wait for %q: %v", c.Argv, err)
	}
	<-done
	return result{stdout.String(), stderr.String(), code}
}

// sh runs a shell script that must succeed and returns what it prints.
func (g *guest) sh(t *testing.T, script string, args ...string) string {
	t.Helper()
	r := g.run(t, nixspace.Command{Argv: append([]string{"sh", "-c", script, "sh"}, args...)}, "")
	if r.code != 0 {
		t.Fatalf("%s: exit code %d: %s", script, r.code, r.stderr)
	}
	return strings.TrimSuffix(r.stdout, "\n")
}

// awaitLine reads lines until one holds text, and returns it.
func awaitLine(t *testing.T, r io.Reader, text string) string {
	t.Helper()
	var line []byte
	var seen strings.Builder
	b := make([]byte, 1)
	for {
		if _, err := r.Read(b); err != nil {
			t.Fatalf("no line with %q, but %q and then %v", text, seen.String(), err)
		}
		seen.WriteByte(b[0])
		if b[0] != '\n' {
			line = append(line, b[0])
			continue
		}
		if s := strings.TrimRight(string(line), "\r"); strings.Contains(s, text) {
			return s
		}
		line = line[:0]
	}
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	if err == nil || nixspace.ErrorCode(err) != code {
		t.Errorf("%s: code %q (%v), want %q", what, nixspace.ErrorCode(err), err, code)
	}
}
