package app_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/app/apptest"
	"github.com/nixspace/nixspace/app/collect"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/sessions"
)

const prepared = "schema = 1\n\n[packages]\nnodejs = \"22\"\n\n[scripts]\nsetup = \"npm ci\"\n"

// script is what setups do on a host of a test: it gets the command and where to write
// to, and returns the exit code.
type script func(ctx context.Context, command string, out io.Writer) int

// scripted are machines in which commands are played.
type scripted struct {
	*apptest.Machines
	run script
}

func (h scripted) Start(ctx context.Context, spec nixspace.MachineSpec, p nixspace.ProgressFunc) (nixspace.Machine, error) {
	m, err := h.Machines.Start(ctx, spec, p)
	if err != nil {
		return nil, err
	}
	return scriptedMachine{m.(snapshotMachine), h.run}, nil
}

type snapshotMachine interface {
	nixspace.Machine
	nixspace.Snapshotter
}

type scriptedMachine struct {
	snapshotMachine
	run script
}

func (m scriptedMachine) Exec(ctx context.Context, c nixspace.Command) (nixspace.Process, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r, w := io.Pipe()
	p := &scriptedProcess{cancel: cancel, out: r, code: make(chan int, 1)}
	go func() {
		p.code <- m.run(ctx, strings.Join(c.Argv, " "), w)
		w.Close()
	}()
	return p, nil
}

type scriptedProcess struct {
	nixspace.Process
	cancel context.CancelFunc
	out    io.Reader
	code   chan int
}

func (p *scriptedProcess) Stdin() io.WriteCloser { return discard{io.Discard} }
func (p *scriptedProcess) Stdout() io.Reader     { return p.out }
func (p *scriptedProcess) Stderr() io.Reader     { return strings.NewReader("") }
func (p *scriptedProcess) Close() error          { p.cancel(); return nil }
func (p *scriptedProcess) Wait() (int, error)    { return <-p.code, nil }

type discard struct{ io.Writer }

func (discard) Close() error { return nil }

// prebuildJobs remembers what was queued.
type prebuildJobs struct {
	mu     sync.Mutex
	queued []nixspace.ID
}

func (j *prebuildJobs) EnqueuePrebuild(_ context.Context, _ records.Tx, id nixspace.ID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.queued = append(j.queued, id)
	return nil
}

func (j *prebuildJobs) CancelPrebuild(context.Context, nixspace.ID) error { return nil }

func (j *prebuildJobs) take() []nixspace.ID {
	j.mu.Lock()
	defer j.mu.Unlock()
	q := j.queued
	j.queued = nil
	return q
}

// preparing is a NixSpace with machines in which setups are played.
type preparing struct {
	*host
	prebuilds *prebuildJobs
	env       *nixspace.Environment
}

func newPreparing(t *testing.T, run script) *preparing {
	t.Helper()
	h := &preparing{host: newHost(t), prebuilds: &prebuildJobs{}}
	h.reopen(t, run)
	_, env, _, err := h.CreateProject(h.ctx, environments.CreateProject{Slug: "shop", Manifest: prepared})
	if err != nil {
		t.Fatal(err)
	}
	h.keepWorking(t)
	h.env = env
	return h
}

// reopen begins anew, as a server does that starts.
func (h *preparing) reopen(t *testing.T, run script) {
	t.Helper()
	h.host.stop()
	h.App = app.New(app.Config{
		Store: h.jobs.Over(h.db), Packages: h.packages, Machines: scripted{h.machines, run}, Workspaces: h.workspaces, Jobs: h.jobs, Prebuilds: h.prebuilds,
		Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	})
	if err := h.Reconcile(nixspace.AsSystem(h.ctx)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func(a *app.App) { done <- a.Run(ctx) }(h.App)
	h.host.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(h.host.stop)
}

// none checks that nothing of a prebuild's machine is left.
func (h *preparing) none(t *testing.T, id nixspace.ID) {
	t.Helper()
	if h.machines.Running(id) || h.machines.HasDisk(id) {
		t.Error("the machine of a prebuild is left")
	}
}

func well(_ context.Context, command string, out io.Writer) int {
	if strings.Contains(command, "npm ci") {
		_, _ = io.WriteString(out, "added 2 packages\nprogress 1\rprogress 2\n"+strings.Repeat("x", 9000)+"\nunfinished")
	}
	return 0
}

func TestPrebuild(t *testing.T) {
	h := newPreparing(t, well)
	// Two who ask at once ask for the same.
	first, err := h.RequestPrebuild(h.ctx, "shop", false)
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.RequestPrebuild(h.ctx, "shop", true)
	if err != nil || second.ID != first.ID || len(h.prebuilds.take()) != 1 {
		t.Fatalf("got %+v, %v", second, err)
	}
	// A session is not kept waiting, and is told that it is not prepared.
	s, err := h.StartSession(h.ctx, sessions.StartSession{Ref: "shop"})
	if err != nil || s.SnapshotID != "" || len(h.prebuilds.take()) != 0 {
		t.Fatalf("got %+v, %v", s, err)
	}
	updates, err := h.WatchPrebuild(h.ctx, first.ID)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- h.RunPrebuild(h.ctx, first.ID) }()
	var lines []string
	var last *nixspace.Prebuild
	for u := range updates {
		if u.Line != nil {
			lines = append(lines, u.Line.Text)
		}
		if u.Prebuild != nil {
			last = u.Prebuild
		}
	}
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if last == nil || last.Status != nixspace.BuildSucceeded || last.Snapshot == "" {
		t.Fatalf("the last update is %+v", last)
	}
	want := []string{"$ npm ci", "added 2 packages", "progress 1", "progress 2", strings.Repeat("x", 8192), strings.Repeat("x", 9000-8192), "unfinished"}
	if !slices.Equal(lines, want) {
		t.Errorf("the log is %q", lines)
	}
	h.none(t, first.ID)
	spec := h.machines.Spec(first.ID)
	if spec.Snapshot != "" || spec.Throwaway {
		t.Errorf("it was made in %+v", spec)
	}
	// Now sessions begin from it, those for one command too.
	for _, ephemeral := range []bool{false, true} {
		s, err := h.StartSession(h.ctx, sessions.StartSession{Ref: "shop", Ephemeral: ephemeral})
		if err != nil || s.SnapshotID != last.Snapshot || s.DiskOnly || s.ForkOf != "" {
			t.Fatalf("got %+v, %v", s, err)
		}
		p, earlier, err := h.BeganFrom(h.ctx, s)
		if err != nil || p == nil || p.ID != first.ID || earlier {
			t.Errorf("it began from %+v, %v, %v", p, earlier, err)
		}
	}
	if len(h.prebuilds.take()) != 0 {
		t.Error("what is there was asked for again")
	}
	// Its snapshot is kept although no session needs it, until it goes itself.
	if err := h.Sweep(nixspace.AsSystem(h.ctx), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Snapshot(h.ctx, string(last.Snapshot)); err != nil {
		t.Errorf("its snapshot: %v", err)
	}
	zero := time.Duration(0)
	dry, err := h.CollectGarbage(h.ctx, collect.CollectGarbage{DryRun: true, OlderThan: &zero})
	if err != nil || !slices.ContainsFunc(dry.Items, func(g nixspace.Garbage) bool { return g.Kind == nixspace.GarbagePrebuild }) {
		t.Errorf("garbage would be %+v, %v", dry, err)
	}
	month := 30 * 24 * time.Hour
	if c, err := h.CollectGarbage(h.ctx, collect.CollectGarbage{OlderThan: &month}); err != nil || len(c.Items) != 0 {
		t.Errorf("garbage of today: %+v, %v", c, err)
	}
}

func TestPrebuildFails(t *testing.T) {
	h := newPreparing(t, func(_ context.Context, command string, out io.Writer) int {
		_, _ = io.WriteString(out, "no such package\n")
		return 7
	})
	p, err := h.RequestPrebuild(h.ctx, "shop", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RunPrebuild(h.ctx, p.ID); err != nil {
		t.Fatal(err)
	}
	p, err = h.PrebuildByID(h.ctx, p.ID)
	if err != nil || p.Status != nixspace.BuildFailed || p.ErrorCode != "setup_failed" || !strings.Contains(p.Error, "exit code 7") || p.Snapshot != "" {
		t.Fatalf("got %+v, %v", p, err)
	}
	h.none(t, p.ID)
	h.prebuilds.take()
	// A session starts all the same, and does not try what failed.
	s, err := h.StartSession(h.ctx, sessions.StartSession{Ref: "shop"})
	if err != nil || s.SnapshotID != "" || len(h.prebuilds.take()) != 0 {
		t.Errorf("got %+v, %v", s, err)
	}
	// Who asks, gets another try.
	again, err := h.RequestPrebuild(h.ctx, "shop", false)
	if err != nil || again.ID == p.ID || len(h.prebuilds.take()) != 1 {
		t.Errorf("got %+v, %v", again, err)
	}
	// A machine that cannot be snapshotted leaves nothing either.
	h.reopen(t, well)
	h.machines.FailSnapshots(errors.New("the disk is full"))
	if err := h.RunPrebuild(h.ctx, again.ID); err != nil {
		t.Fatal(err)
	}
	if p, err := h.PrebuildByID(h.ctx, again.ID); err != nil || p.Status != nixspace.BuildFailed {
		t.Errorf("got %+v, %v", p, err)
	}
	h.none(t, again.ID)
	if left, err := h.Snapshots(h.ctx, "", true); err != nil || len(left) != 0 {
		t.Errorf("snapshots are left: %+v, %v", left, err)
	}
}

// TestPrebuildInterrupted ends the server in the middle of a setup, and cancels one.
func TestPrebuildInterrupted(t *testing.T) {
	started := make(chan struct{}, 1)
	hang := func(ctx context.Context, _ string, _ io.Writer) int {
		started <- struct{}{}
		<-ctx.Done()
		return 1
	}
	h := newPreparing(t, hang)
	p, err := h.RequestPrebuild(h.ctx, "shop", false)
	if err != nil {
		t.Fatal(err)
	}
	job, kill := context.WithCancel(h.ctx)
	ran := make(chan error, 1)
	go func() { ran <- h.RunPrebuild(job, p.ID) }()
	<-started
	kill()
	if err := <-ran; err == nil {
		t.Error("an interrupted prebuild must be run again")
	}
	h.none(t, p.ID)
	h.prebuilds.take()
	// What a killed server left is taken up by the next one.
	h.machines.Put(nixspace.MachineStatus{SessionID: p.ID, Generation: 1, Status: nixspace.SessionRunning})
	h.reopen(t, hang)
	h.none(t, p.ID)
	if got := h.prebuilds.take(); !slices.Equal(got, []nixspace.ID{p.ID}) {
		t.Fatalf("queued again: %v", got)
	}
	// Collecting leaves a machine alone in which a setup runs.
	go func() { ran <- h.RunPrebuild(h.ctx, p.ID) }()
	<-started
	zero := time.Duration(0)
	if _, err := h.CollectGarbage(h.ctx, collect.CollectGarbage{OlderThan: &zero}); err != nil || !h.machines.Running(p.ID) {
		t.Errorf("collecting: %v, running %v", err, h.machines.Running(p.ID))
	}
	if _, err := h.RemovePrebuild(h.ctx, p.ID); nixspace.ErrorKind(err) != nixspace.KindConflict {
		t.Errorf("it was removed while it ran: %v", err)
	}
	c, err := h.CancelPrebuild(h.ctx, p.ID)
	if err != nil || c.Status != nixspace.BuildCanceled {
		t.Errorf("got %+v, %v", c, err)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
	h.none(t, p.ID)
	if left, err := h.Snapshots(h.ctx, "", true); err != nil || len(left) != 0 {
		t.Errorf("snapshots are left: %+v, %v", left, err)
	}
}

// TestPrebuildsReplaced keeps the last good ones of an environment.
func TestPrebuildsReplaced(t *testing.T) {
	h := newPreparing(t, well)
	var snapshots []nixspace.ID
	for i, edit := range []string{"1", "2", "3", "4", "5"} {
		if _, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", Edits: []environments.Edit{{Op: nixspace.ChangeSet, Key: "env.N", Value: edit}}}); err != nil {
			t.Fatal(err)
		}
		p, err := h.RequestPrebuild(h.ctx, "shop", false)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.RunPrebuild(h.ctx, p.ID); err != nil {
			t.Fatal(err)
		}
		if p, err = h.PrebuildByID(h.ctx, p.ID); err != nil || p.Status != nixspace.BuildSucceeded {
			t.Fatalf("%d: got %+v, %v", i, p, err)
		}
		snapshots = append(snapshots, p.Snapshot)
	}
	left, err := h.Prebuilds(h.ctx, "shop")
	if err != nil || len(left) != 3 || left[0].Snapshot != snapshots[4] || left[2].Snapshot != snapshots[2] {
		t.Errorf("left are %+v, %v", left, err)
	}
	if all, err := h.Snapshots(h.ctx, "", true); err != nil || len(all) != 3 {
		t.Errorf("snapshots: %+v, %v", all, err)
	}
	// One that is made anew takes the place of the old one.
	again, err := h.RequestPrebuild(h.ctx, "shop", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RunPrebuild(h.ctx, again.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.PrebuildByID(h.ctx, left[0].ID); nixspace.ErrorKind(err) != nixspace.KindNotFound {
		t.Errorf("the old one: %v", err)
	}
	// Where its files were lost, sessions begin from the next best, and it is made anew.
	h.prebuilds.take()
	p, err := h.PrebuildByID(h.ctx, again.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.machines.RemoveSnapshot(h.ctx, p.Snapshot); err != nil {
		t.Fatal(err)
	}
	h.reopen(t, well)
	s, err := h.StartSession(h.ctx, sessions.StartSession{Ref: "shop"})
	if err != nil || s.SnapshotID != snapshots[3] || !s.DiskOnly || len(h.prebuilds.take()) != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestPrebuildUsedAtOnce starts many sessions from one prebuild at the same time.
func TestPrebuildUsedAtOnce(t *testing.T) {
	h := newPreparing(t, well)
	p, err := h.RequestPrebuild(h.ctx, "shop", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RunPrebuild(h.ctx, p.ID); err != nil {
		t.Fatal(err)
	}
	if p, err = h.PrebuildByID(h.ctx, p.ID); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			s, err := h.StartSession(h.ctx, sessions.StartSession{Ref: "shop"})
			if err != nil || s.SnapshotID != p.Snapshot {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
	wg.Wait()
	var deadlocks int
	if err := h.db.Pool().QueryRow(h.ctx, "select deadlocks from pg_stat_database where datname = current_database()").Scan(&deadlocks); err != nil || deadlocks > 0 {
		t.Errorf("%d deadlocks, %v", deadlocks, err)
	}
}
