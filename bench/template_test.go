//go:build system

package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
)

// BenchmarkTemplate makes projects of templates, to the point where they are ready,
// and then runs the first command in a session of each. All packages are here
// already, and so is what sessions start from: one project of each template was made
// before. NIXSPACE_TEMPLATES names the templates; node, go-postgres and python without
// it.
func BenchmarkTemplate(b *testing.B) {
	c := serve(b)
	names := strings.Fields(os.Getenv("NIXSPACE_TEMPLATES"))
	if len(names) == 0 {
		names = []string{"node", "python", "go-postgres"}
	}
	made := 0
	for _, template := range names {
		b.Run(template, func(b *testing.B) {
			made++
			fromTemplate(b, c, template, fmt.Sprintf("warm-%d", made))
			var create, command, session []time.Duration
			for b.Loop() {
				made++
				name := fmt.Sprintf("t-%d", made)
				r, f, up := fromTemplate(b, c, template, name)
				create, command, session = append(create, r), append(command, f), append(session, up)
				if _, err := c.StopSession(context.Background(), name+"/1"); err != nil {
					b.Fatal(err)
				}
			}
			for name, all := range map[string][]time.Duration{"ready": create, "first-command": command, "session": session} {
				report(b, name, all)
			}
		})
	}
}

// report reports the median and the longest of a few.
func report(b *testing.B, name string, all []time.Duration) {
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(all[len(all)/2]), name+"-p50-ms")
	b.ReportMetric(ms(all[len(all)-1]), name+"-max-ms")
}

// fromTemplate makes a project and runs a command in a session, and says how long it
// was to a ready environment, from there to the command's end, and of that to a
// running session.
func fromTemplate(b *testing.B, c *client.Client, template, name string) (create, command, session time.Duration) {
	b.Helper()
	ctx := context.Background()
	begin := time.Now()
	f, err := c.FetchSource(ctx, client.FetchInput{Source: "template:" + template})
	if err != nil {
		b.Fatal(err)
	}
	err = c.WatchFetch(ctx, f.ID, func(u client.SourceUpdate) error {
		if u.Fetch != nil {
			f = u.Fetch
		}
		return nil
	})
	if err != nil || f.Code == nil {
		b.Fatalf("fetch the template: %v %s", err, f.Error)
	}
	_, env, build, err := c.CreateProject(ctx, name, f.Source, f.Code.Workspace, "", "")
	if err != nil {
		b.Fatal(err)
	}
	ready(b, c, build)
	create = time.Since(begin)
	begin = time.Now()
	s, err := c.StartSession(ctx, env.Ref, false)
	if err != nil {
		b.Fatal(err)
	}
	last := *s
	err = c.WatchSession(ctx, string(s.ID), func(u client.SessionUpdate) error {
		if last = u.Session; last.Is(nixspace.SessionCreating) {
			return nil
		}
		return client.ErrStop
	})
	if err != nil || !last.Is(nixspace.SessionRunning) {
		b.Fatalf("start a session: %v %s %s", err, last.Status, last.Reason)
	}
	session = time.Since(begin)
	p, err := c.Exec(ctx, string(s.ID), nixspace.Command{Argv: []string{"true"}})
	if err != nil {
		b.Fatal(err)
	}
	if code, err := p.Run(nil, os.Stderr, os.Stderr); err != nil || code != 0 {
		b.Fatalf("the first command: %v, exit code %d", err, code)
	}
	command = time.Since(begin)
	return create, command, session
}
