package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/cmd/nixspace/client"
	"github.com/nixspace/nixspace/cmd/nixspace/pack"
	"github.com/nixspace/nixspace/cmd/nixspace/term"
	"github.com/nixspace/nixspace/examples"
)

// The quick start's project, its branches, and what tells its project from one
// that a person made.
const (
	quickProject = "shop"
	quickSource  = "quick start: examples/shop"
)

var quickMajors = []string{"13", "14", "15"}

// quickResult is what came of one branch.
type quickResult struct {
	Environment string  `json:"environment"`
	Session     string  `json:"session"`
	Hash        string  `json:"hash"`
	PostgreSQL  string  `json:"postgresql"` // what the server in the machine says of itself
	Node        string  `json:"node"`       // likewise
	Passed      int     `json:"passed"`     // of the application's own tests
	Failed      int     `json:"failed"`
	StartSecs   float64 `json:"startSeconds"` // until the services were ready
	TestSecs    float64 `json:"testSeconds"`
}

// quickStart shows what NixSpace is for, as a user would do it by hand: a
// project from a real application, a branch for each of three PostgreSQL
// versions, and the application's tests in a machine of each, side by side. What
// exists from an earlier run is used again. Where a person has made projects of
// their own it does nothing.
func quickStart(ctx context.Context, fg foreground) error {
	q := quick{api: fg.Client, d: fg.Display}
	projects, err := q.api.Projects(ctx)
	if err != nil {
		return err
	}
	if len(projects) > 1 || len(projects) == 1 && projects[0].Source != quickSource {
		return nil
	}
	begin := time.Now()
	if len(projects) == 0 {
		if err := q.create(ctx); err != nil {
			return fmt.Errorf("create the example project: %w", err)
		}
	}
	envs, err := q.branch(ctx)
	if err != nil {
		return fmt.Errorf("branch the example project: %w", err)
	}
	results := make([]quickResult, len(envs))
	g, gctx := errgroup.WithContext(ctx)
	for i := range envs {
		g.Go(func() error {
			if err := q.session(gctx, &envs[i], &results[i]); err != nil {
				return fmt.Errorf("run %s: %w", envs[i].Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return q.conclude(fg, results, time.Since(begin))
}

type quick struct {
	api *client.Client
	d   *term.Display
}

// create makes the project from the application that the binary carries, and
// builds its first environment.
func (q quick) create(ctx context.Context) error {
	q.d.Printf("\n%s", q.d.Bold("Quick start: one application, three PostgreSQL versions, side by side"))
	q.d.Printf("  $ nixspace create %s examples/shop", quickProject)
	var archive bytes.Buffer
	if _, err := pack.FS(ctx, examples.Shop(), &archive, nixspace.CodeLimits{}); err != nil {
		return err
	}
	ws, err := q.api.PutWorkspace(ctx, &archive)
	if err != nil {
		return err
	}
	begin := time.Now()
	_, env, build, err := q.api.CreateProject(ctx, quickProject, quickSource, ws.Digest, "", "")
	if err != nil {
		return err
	}
	if _, err := followBuild(ctx, q.api, q.d, build, false); err != nil {
		return err
	}
	q.d.Printf("  environment %s  %s  ready in %s", env.Ref, short(env.Head.Hash), term.Duration(time.Since(begin)))
	return nil
}

// branch makes the branches that are not there yet, all builds at once, and
// returns them in order.
func (q quick) branch(ctx context.Context) ([]client.Environment, error) {
	have, err := q.api.Environments(ctx, quickProject)
	if err != nil {
		return nil, err
	}
	g, gctx := errgroup.WithContext(ctx)
	envs := make([]client.Environment, len(quickMajors))
	for i, major := range quickMajors {
		name := "pg" + major
		if at := slices.IndexFunc(have, func(e client.Environment) bool { return e.Name == name }); at >= 0 {
			envs[i] = have[at]
			build, err := q.api.Build(ctx, have[at].Ref) // at once where it is built
			if err != nil {
				return nil, err
			}
			g.Go(func() error { _, err := followBuild(gctx, q.api, q.d, build, false); return err })
			continue
		}
		begin := time.Now()
		env, build, err := q.api.Branch(ctx, quickProject+"/"+quickProject, name, []client.Edit{{Op: "SET", Key: "postgresql", Value: major}}, "")
		if err != nil {
			return nil, err
		}
		envs[i] = *env
		g.Go(func() error {
			if _, err := followBuild(gctx, q.api, q.d, build, false); err != nil {
				return err
			}
			q.d.Printf("  $ nixspace branch %s %s --set postgresql=%s  # ready in %s", quickProject, name, major, term.Duration(time.Since(begin)))
			return nil
		})
	}
	return envs, g.Wait()
}

// session starts a machine of one branch, asks its PostgreSQL and its Node.js who
// they are, and runs the application's tests. The machine goes on running.
func (q quick) session(ctx context.Context, env *client.Environment, r *quickResult) error {
	r.Environment, r.Hash = env.Ref, env.Head.Hash
	s, began, err := q.start(ctx, env)
	if err != nil {
		return err
	}
	r.Session = s.Ref
	if s, err = awaitSession(ctx, q.api, q.d, s, s.Ref); err != nil {
		return err
	}
	r.StartSecs = time.Since(began).Seconds()
	q.d.Printf("  session %s runs after %s: %s", s.Ref, term.Duration(time.Since(began)), term.Clean(s.Isolation))
	defer q.d.Forget(s.Ref)

	q.d.Status(s.Ref, "asks PostgreSQL and Node.js")
	versions, code, err := q.run(ctx, s, "sh", "-c", `psql -Atc "show server_version" && node --version`)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(versions), "\n")
	if code != 0 || len(lines) != 2 {
		return nixspace.Errorf(nixspace.KindInternal, "quickstart_failed", "asking for versions in %s ended with %d: %s", s.Ref, code, term.Clean(versions))
	}
	r.PostgreSQL, r.Node = lines[0], strings.TrimPrefix(lines[1], "v")

	q.d.Status(s.Ref, "runs the application's tests")
	tests := time.Now()
	argv, err := scriptFlag{Script: "test"}.command(ctx, q.api, s.Ref, nil)
	if err != nil {
		return err
	}
	out, code, err := q.run(ctx, s, argv...)
	if err != nil {
		return err
	}
	r.TestSecs = time.Since(tests).Seconds()
	r.Passed, r.Failed = testCounts(out)
	if code != 0 || r.Passed == 0 {
		q.d.Printf("%s", out)
		return nixspace.Errorf(nixspace.KindInternal, "quickstart_failed", "the application's tests in %s ended with %d", s.Ref, code)
	}
	return nil
}

// start returns a session of env that starts or runs: the one of an earlier quick
// start, with its database, where there is one.
func (q quick) start(ctx context.Context, env *client.Environment) (*client.Session, time.Time, error) {
	sessions, err := q.api.Sessions(ctx, env.Ref, true)
	if err != nil {
		return nil, time.Time{}, err
	}
	ref := env.Ref
	for i := range sessions {
		switch s := &sessions[i]; {
		case s.Ephemeral:
		case s.Is(nixspace.SessionRunning), s.Is(nixspace.SessionCreating):
			return s, time.Now(), nil
		case s.Is(nixspace.SessionHibernated):
			ref = s.Ref // an earlier `up` ended; it goes on where it was
		case s.Is(nixspace.SessionStopped) && ref == env.Ref:
			ref = s.Ref
		}
	}
	began := time.Now()
	s, err := q.api.StartSession(ctx, ref, false)
	return s, began, err
}

// run executes a command in a session and returns what it printed.
func (q quick) run(ctx context.Context, s *client.Session, argv ...string) (string, int, error) {
	p, err := q.api.Exec(ctx, string(s.ID), nixspace.Command{Argv: argv})
	if err != nil {
		return "", 0, err
	}
	defer p.Close()
	var out capture
	w := term.Locked(&out)
	code, err := p.Run(nil, w, w)
	return out.text(), code, err
}

func (q quick) conclude(fg foreground, results []quickResult, took time.Duration) error {
	if fg.Display == nil {
		return printJSON(fg.Streams.Out, map[string]any{"quickstart": results, "seconds": took.Seconds()})
	}
	rows := make([][]string, len(results))
	for i, r := range results {
		rows[i] = []string{
			r.Environment, r.Session, r.PostgreSQL, r.Node, fmt.Sprintf("%d passed, %d failed", r.Passed, r.Failed),
			fmt.Sprintf("%.1f s", r.StartSecs), fmt.Sprintf("%.1f s", r.TestSecs), short(r.Hash),
		}
	}
	out := fg.Display.Through(fg.Streams.Out)
	var b bytes.Buffer
	fmt.Fprintln(&b)
	if err := table(&b, []string{"ENVIRONMENT", "SESSION", "POSTGRESQL", "NODE", "TESTS", "STARTED IN", "TESTS TOOK", "VERSION"}, rows); err != nil {
		return err
	}
	fmt.Fprintf(&b, "\n%d microVMs run side by side, after %s. The API is at %s/graphql\n\nTry, in another terminal:\n", len(results), term.Duration(took), fg.Running.URL)
	for _, line := range []string{
		"nixspace list",
		"nixspace run pg13 pg14 pg15 -- psql -Atc 'show server_version'",
		"nixspace branch shop pg16 --set postgresql=16",
		"nixspace shell " + results[0].Session,
	} {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	_, err := io.Copy(out, &b)
	return err
}

// node's test runner ends with a summary, in TAP ("# pass 3") or its own form
// ("ℹ pass 3").
var testSummary = regexp.MustCompile(`(?m)^(?:#|ℹ) (pass|fail) (\d+)\s*$`)

func testCounts(out string) (passed, failed int) {
	for _, m := range testSummary.FindAllStringSubmatch(out, -1) {
		n := 0
		if _, err := fmt.Sscan(m[2], &n); err != nil {
			continue
		}
		if m[1] == "pass" {
			passed = n
		} else {
			failed = n
		}
	}
	return passed, failed
}
