//go:build vm

package fleet

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/qemu"
	"github.com/nixspace/nixspace/vm/runner"
	"github.com/nixspace/nixspace/vm/vmtest"
)

// spread reports the middle and the worst of some times.
func spread(b *testing.B, name string, all []time.Duration) {
	slices.Sort(all)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	b.ReportMetric(ms(all[len(all)/2]), name+"-p50-ms")
	b.ReportMetric(ms(all[len(all)-1]), name+"-max-ms")
}

// BenchmarkColdBoot boots a machine by the fleet and, in turn, by QEMU alone with the
// same kernel, agent and layer, each up to the answer of the first command. The
// first has a runner, a disk, limits and a service besides.
func BenchmarkColdBoot(b *testing.B) {
	ctx, l, spec := benchHost(b)
	kit := vmtest.New(b)
	bare := qemu.New(qemu.Config{Accel: "tcg"})
	spec.Throwaway = true // it takes no template, and makes none
	spec.Services = nil
	var ours, theirs []time.Duration
	for b.Loop() {
		b.StopTimer()
		alone := kit.Spec(ctx, b)
		spec.SessionID = nixspace.NewID()
		b.StartTimer()
		began := time.Now()
		m, err := l.Start(ctx, spec, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := vmtest.Output(ctx, m, "echo", "up"); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(began))
		b.StopTimer()
		remove(b, l, spec.SessionID)
		b.StartTimer()
		began = time.Now()
		if err := kit.Boot(ctx, bare, alone); err != nil {
			b.Fatal(err)
		}
		theirs = append(theirs, time.Since(began))
	}
	spread(b, "fleet", ours)
	spread(b, "qemu", theirs)
	b.ReportMetric(float64(ours[len(ours)/2])/float64(theirs[len(theirs)/2]), "ratio")
}

// BenchmarkForkPostgreSQL forks a machine whose PostgreSQL is under load: how long it
// stands still, and how long until the copy's PostgreSQL answers a query.
func BenchmarkForkPostgreSQL(b *testing.B) {
	for _, kind := range []string{"own", "throwaway"} {
		b.Run(kind, func(b *testing.B) {
			ctx, l, spec := benchHost(b, func(ctx context.Context, kit *vmtest.Kit, spec *nixspace.MachineSpec) {
				layer, path, service := kit.PostgreSQL(ctx, b)
				spec.MemoryMiB, spec.DiskMiB = 384, 1024
				spec.Layers, spec.Environment, spec.Env = append(spec.Layers, layer), path, vmtest.PostgreSQLEnv(path)
				spec.Services = []nixspace.Service{service}
			})
			spec.SessionID = nixspace.NewID()
			parent, err := l.Start(ctx, spec, nil)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := vmtest.Output(ctx, parent, "pgbench", "-i", "-q", "-s", "1"); err != nil {
				b.Fatal(err)
			}
			load, err := parent.Exec(ctx, nixspace.Command{Argv: []string{"pgbench", "-n", "-c", "2", "-T", "36000", "-P", "1"}, Dir: "/"})
			if err != nil {
				b.Fatal(err)
			}
			defer load.Close()
			clone := spec
			clone.Throwaway = kind == "throwaway"
			var pauses, answers []time.Duration
			for b.Loop() {
				// A report says that transactions are under way.
				if _, err := load.Stderr().Read(make([]byte, 4096)); err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				info, err := parent.(nixspace.Snapshotter).Snapshot(ctx, nixspace.NewID())
				if err != nil {
					b.Fatal(err)
				}
				clone.SessionID, clone.Snapshot = nixspace.NewID(), info.ID
				m, err := l.Start(ctx, clone, nil)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := vmtest.Output(ctx, m, "psql", "-XAtqc", "select count(*) from pgbench_branches"); err != nil {
					b.Fatal(err)
				}
				answers, pauses = append(answers, time.Since(began)), append(pauses, info.Pause)
				b.StopTimer()
				remove(b, l, clone.SessionID)
				if err := l.RemoveSnapshot(ctx, info.ID); err != nil {
					b.Error(err)
				}
				b.StartTimer()
			}
			spread(b, "pause", pauses)
			spread(b, "answer", answers)
		})
	}
}

// BenchmarkEightForks forks one machine eight times at once, as throw-aways, until
// all have answered a command, and then measures the memory that each has alone
// (Private_Clean and Private_Dirty): its machine's, and its runner's.
func BenchmarkEightForks(b *testing.B) {
	ctx, l, spec := benchHost(b)
	spec.SessionID = nixspace.NewID()
	parent := begin(ctx, b, l, spec, "template")
	var all []time.Duration
	var machines, runners float64
	const forks = 8
	for b.Loop() {
		began := time.Now()
		info, err := parent.(nixspace.Snapshotter).Snapshot(ctx, nixspace.NewID())
		if err != nil {
			b.Fatal(err)
		}
		ids := make([]nixspace.ID, forks)
		var g errgroup.Group
		for i := range ids {
			ids[i] = nixspace.NewID()
			clone := spec
			clone.SessionID, clone.Snapshot, clone.Throwaway, clone.Hostname = ids[i], info.ID, true, fmt.Sprintf("fork%d", i)
			g.Go(func() error {
				m, err := l.Start(ctx, clone, nil)
				if err != nil {
					return err
				}
				_, err = vmtest.Output(ctx, m, "echo", "up")
				return err
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		all = append(all, time.Since(began))
		b.StopTimer()
		for _, id := range ids {
			state, err := runner.ReadState(l.sessionDir(id))
			if err != nil {
				b.Fatal(err)
			}
			machines += private(b, state.VMM.PID)
			runners += private(b, state.Runner.PID)
		}
		for _, id := range ids {
			remove(b, l, id)
		}
		if err := l.RemoveSnapshot(context.WithoutCancel(ctx), info.ID); err != nil {
			b.Error(err)
		}
		b.StartTimer()
	}
	spread(b, "all", all)
	b.ReportMetric(machines/float64(forks*len(all)), "machine-MiB/fork")
	b.ReportMetric(runners/float64(forks*len(all)), "runner-MiB/fork")
}

// private returns the memory that only one process has, in MiB.
func private(b *testing.B, pid int) float64 {
	b.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	kib := 0.0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 && strings.HasPrefix(words[0], "Private_") && !strings.HasSuffix(words[0], "Hugetlb:") {
			n, err := strconv.ParseFloat(words[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			kib += n
		}
	}
	return kib / 1024
}
