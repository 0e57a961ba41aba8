//go:build system

// Package bench measures NixSpace as its users meet it: the real program, asked
// through its API. `make bench` runs it and keeps the raw data in bench/data.
package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/internal/statedir"
)

const manifest = `schema = 1
[packages]
nodejs = "22"
postgresql = "15"
`

// serve starts a server with an empty state directory and returns a client of it.
func serve(b *testing.B) *client.Client {
	b.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "nixspace-bench-")
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	cmd := exec.Command(filepath.Join("..", "bin", "nixspace"), "up", "--no-quickstart", "--state", state, "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		b.Fatalf("%v (run make build)", err)
	}
	b.Cleanup(func() {
		err := errors.Join(cmd.Process.Signal(syscall.SIGINT), cmd.Wait(), os.RemoveAll(dir))
		if err != nil {
			b.Error(err)
		}
	})
	ready := make(chan bool, 1)
	var said bytes.Buffer
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "NixSpace is ready") {
				ready <- true
			}
			said.WriteString(lines.Text() + "\n")
		}
		close(ready)
	}()
	if !<-ready {
		b.Fatalf("the server did not start:\n%s", said.String())
	}
	at, err := statedir.FindServer(state)
	if err != nil {
		b.Fatal(err)
	}
	c, err := client.New(at.URL, at.Token)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	return c
}

// ready waits until a build is final, as the command line does.
func ready(b *testing.B, c *client.Client, build *client.Build) {
	b.Helper()
	if !build.Final() {
		err := c.WatchBuild(context.Background(), build.ID, func(u client.BuildUpdate) error {
			if u.Build != nil && u.Build.Final() {
				build = u.Build
				return client.ErrStop
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if !build.Is(nixspace.BuildSucceeded) {
		b.Fatalf("the build is %s: %s", build.Status, build.Error)
	}
}

// times reports the median and the 99th percentile of what is measured one by one.
func times(b *testing.B, all []time.Duration) {
	slices.Sort(all)
	ms := func(i int) float64 { return float64(all[min(i, len(all)-1)].Microseconds()) / 1000 }
	b.ReportMetric(ms(len(all)/2), "p50-ms")
	b.ReportMetric(ms(len(all)*99/100), "p99-ms")
}

// BenchmarkAPI makes environments through the API, to the point where they are
// ready. All packages are here already: the first one fetches what is not.
func BenchmarkAPI(b *testing.B) {
	c := serve(b)
	ctx := context.Background()
	n := 0
	project := func(b *testing.B) {
		n++
		_, _, build, err := c.CreateProject(ctx, fmt.Sprintf("p%d", n), "bench", "", manifest, "")
		if err != nil {
			b.Fatal(err)
		}
		ready(b, c, build)
	}
	branch := func(b *testing.B, edits ...client.Edit) {
		n++
		_, build, err := c.Branch(ctx, "p1/p1", fmt.Sprintf("b%d", n), edits, "")
		if err != nil {
			b.Fatal(err)
		}
		ready(b, c, build)
	}
	// Each change has packages that no environment had before, all of them here: a
	// major version, and those tools whose bit is set.
	majors := []string{"13", "14", "16", "17"}
	tools := []string{"jq", "tree", "which", "less", "diffutils", "file", "patch", "xz", "unzip", "zstd"}
	change := func(i int) []client.Edit {
		edits := []client.Edit{{Op: "SET", Key: "postgresql", Value: majors[i%len(majors)]}}
		for bit, tool := range tools {
			if i/len(majors)>>bit&1 == 1 {
				edits = append(edits, client.Edit{Op: "ADD", Key: tool, Value: "*"})
			}
		}
		return edits
	}
	project(b)
	for i := range majors { // fetches and builds them
		branch(b, change((1<<len(tools)-1)*len(majors)+i)...)
	}
	changes := 0
	for _, m := range []struct {
		name string
		run  func(b *testing.B)
	}{
		{"create", project},
		{"branch", func(b *testing.B) { branch(b) }},
		{"branch-changed-package", func(b *testing.B) {
			branch(b, change(changes)...)
			changes++
		}},
	} {
		b.Run(m.name, func(b *testing.B) {
			all := make([]time.Duration, 0, b.N)
			for range b.N {
				begin := time.Now()
				m.run(b)
				all = append(all, time.Since(begin))
			}
			times(b, all)
		})
	}
}

// BenchmarkSession starts a session of an environment without services and runs
// its first command. Images of its layers are there after the first one.
func BenchmarkSession(b *testing.B) {
	c := serve(b)
	ctx := context.Background()
	_, _, build, err := c.CreateProject(ctx, "p", "bench", "", "schema = 1\n[packages]\nbash = \"*\"\n", "")
	if err != nil {
		b.Fatal(err)
	}
	ready(b, c, build)
	session := func(b *testing.B) time.Duration {
		begin := time.Now()
		s, err := c.StartSession(ctx, "p/p", true)
		if err != nil {
			b.Fatal(err)
		}
		err = c.WatchSession(ctx, string(s.ID), func(u client.SessionUpdate) error {
			switch {
			case u.Session.Is(nixspace.SessionRunning):
				return client.ErrStop
			case !u.Session.Is(nixspace.SessionCreating):
				return fmt.Errorf("the session is %s: %s", u.Session.Status, u.Session.Reason)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		p, err := c.Exec(ctx, s.Ref, nixspace.Command{Argv: []string{"true"}})
		if err != nil {
			b.Fatal(err)
		}
		if code, err := p.Run(nil, &bytes.Buffer{}, &bytes.Buffer{}); err != nil || code != 0 {
			b.Fatal(code, err)
		}
		took := time.Since(begin)
		if _, err := c.StopSession(ctx, s.Ref); err != nil {
			b.Fatal(err)
		}
		return took
	}
	session(b)
	b.Run("start-to-first-command", func(b *testing.B) {
		var all []time.Duration
		for range b.N {
			all = append(all, session(b))
		}
		times(b, all)
	})
}
