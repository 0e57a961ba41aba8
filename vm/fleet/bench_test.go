//go:build vm

package fleet

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/runner"
	"github.com/nixspace/nixspace/vm/vmtest"
)

// benchHost is a host whose machines have a service, and a template. What its store
// holds besides is there from the beginning: other puts it there.
func benchHost(b *testing.B, other ...func(context.Context, *vmtest.Kit, *nixspace.MachineSpec)) (context.Context, *Local, nixspace.MachineSpec) {
	b.Helper()
	kit := vmtest.New(b)
	ctx, cancel := context.WithTimeout(context.Background(), 10*vmtest.Patience)
	b.Cleanup(cancel)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	run, err := os.MkdirTemp("", "fleet")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(run) })
	l, err := NewLocal(Config{
		StateDir: b.TempDir(), RunDir: filepath.Join(run, "run"), Runner: []string{self, "runner"},
		Log: slog.New(slog.DiscardHandler), Store: kit.Store, Accel: "tcg", DiskPool: 4096,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ids, err := l.Sessions(context.Background())
		if err != nil {
			b.Error(err)
		}
		for _, id := range ids {
			remove(b, l, id)
		}
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	spec := nixspace.MachineSpec{
		Generation: 1, Hostname: "bench", CPUs: 1, MemoryMiB: 256, DiskMiB: 512,
		Layers: []nixspace.StoreLayer{kit.Layer}, Base: kit.Base, Environment: kit.Base,
		Services: []nixspace.Service{{
			Name: "echo", Argv: []string{"serve", "7000"}, Ready: nixspace.Probe{TCP: 7000}, Early: true,
		}},
	}
	for _, f := range other {
		f(ctx, kit, &spec)
	}
	if _, err := l.Prewarm(ctx, spec); err != nil {
		b.Fatal(err)
	}
	return ctx, l, spec
}

func remove(b *testing.B, l *Local, id nixspace.ID) {
	b.Helper()
	if err := l.Reap(context.Background(), id); err != nil {
		b.Error(err)
	}
	if err := l.Remove(context.Background(), id); err != nil {
		b.Error(err)
	}
}

// begin starts a machine and has a command answered.
func begin(ctx context.Context, b *testing.B, l *Local, spec nixspace.MachineSpec, how string) nixspace.Machine {
	b.Helper()
	m, err := l.Start(ctx, spec, nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := vmtest.Output(ctx, m, "echo", "up"); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	defer b.StartTimer()
	if s, err := m.Status(ctx); err != nil || s.Start != how {
		log, _ := os.ReadFile(filepath.Join(l.sessionDir(spec.SessionID), runner.LogFile))
		b.Fatalf("it came up by %q, not %q: %s, %v\n%s", s.Start, how, s.Fallback, err, log)
	}
	return m
}

// BenchmarkStart measures from the request to the answer of the first command, by
// the fleet and a runner of its own.
func BenchmarkStart(b *testing.B) {
	for _, how := range []string{"template", "boot"} {
		b.Run(how, func(b *testing.B) {
			ctx, l, spec := benchHost(b)
			spec.Throwaway = how == "boot" // it takes no template, and makes none
			for b.Loop() {
				spec.SessionID = nixspace.NewID()
				begin(ctx, b, l, spec, how)
				b.StopTimer()
				remove(b, l, spec.SessionID)
				b.StartTimer()
			}
		})
	}
}

// BenchmarkHibernate measures until nothing runs for the session any more.
// BenchmarkResume measures from there to the answer of the first command.
func BenchmarkHibernate(b *testing.B) { rest(b, true) }

// BenchmarkResume: see [BenchmarkHibernate].
func BenchmarkResume(b *testing.B) { rest(b, false) }

func rest(b *testing.B, hibernate bool) {
	ctx, l, spec := benchHost(b)
	spec.SessionID = nixspace.NewID()
	m := begin(ctx, b, l, spec, "template")
	spec.Resume = true
	for b.Loop() {
		if !hibernate {
			b.StopTimer()
		}
		if err := m.(nixspace.Snapshotter).Hibernate(ctx); err != nil {
			b.Fatal(err)
		}
		if hibernate {
			b.StopTimer()
		} else {
			b.StartTimer()
		}
		m = begin(ctx, b, l, spec, "resume")
		b.StartTimer()
	}
}

// BenchmarkFork measures from the request for a snapshot of a running machine to
// the answer of the first command in a clone, and how long the parent stood still.
func BenchmarkFork(b *testing.B) {
	for _, kind := range []string{"own", "throwaway"} {
		b.Run(kind, func(b *testing.B) {
			ctx, l, spec := benchHost(b)
			spec.SessionID = nixspace.NewID()
			parent := begin(ctx, b, l, spec, "template")
			clone := spec
			clone.Throwaway = kind == "throwaway"
			var pause time.Duration
			for b.Loop() {
				info, err := parent.(nixspace.Snapshotter).Snapshot(ctx, nixspace.NewID())
				if err != nil {
					b.Fatal(err)
				}
				pause += info.Pause
				clone.SessionID, clone.Snapshot = nixspace.NewID(), info.ID
				begin(ctx, b, l, clone, "snapshot")
				b.StopTimer()
				remove(b, l, clone.SessionID)
				if err := l.RemoveSnapshot(ctx, info.ID); err != nil {
					b.Error(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(pause.Microseconds())/1e3/float64(b.N), "pause-ms/op")
		})
	}
}
