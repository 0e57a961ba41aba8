//go:build vm

package fleet

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/vmtest"
)

// TestForkUnderPostgreSQL forks a machine while its PostgreSQL works. Every fork
// has a whole database, which then goes its own way.
func TestForkUnderPostgreSQL(t *testing.T) {
	h := newHost(t)
	layer, path, service := h.kit.PostgreSQL(h.ctx, t)
	l := h.fleet()
	spec := h.spec()
	spec.MemoryMiB, spec.DiskMiB = 384, 1024
	spec.Layers, spec.Environment, spec.Env = append(spec.Layers, layer), path, vmtest.PostgreSQLEnv(path)
	spec.Services = []nixspace.Service{service}
	if _, err := l.Prewarm(h.ctx, spec); err != nil {
		t.Fatal(err)
	}
	// Its template has a database that runs already.
	m := h.start(l, spec)
	h.cameUp(m, "template")
	h.output(m, "pgbench", "-i", "-q", "-s", "1", "--foreign-keys")
	p, err := m.Exec(h.ctx, nixspace.Command{Argv: []string{"pgbench", "-n", "-c", "2", "-T", "3600", "-P", "1"}, Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	// Its first report says that transactions are under way.
	if _, err := p.Stderr().Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	const invariant = `select (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches)
		and (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history)
		and (select count(*) from pgbench_accounts) = 100000 and (select count(*) from pgbench_history) > 0`
	check := func(m nixspace.Machine, name string) error {
		for _, argv := range [][]string{
			{"pg_amcheck", "--install-missing", "--heapallindexed", "--database=postgres"},
			{"sh", "-c", "pg_dumpall >/dev/null"},
			{"psql", "-XAtqc", "create table who as select '" + name + "' as name"},
		} {
			if _, err := vmtest.Output(h.ctx, m, argv...); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		for sql, want := range map[string]string{invariant: "t", "select name from who": name} {
			if got, err := vmtest.Output(h.ctx, m, "psql", "-XAtqc", sql); err != nil || got != want {
				return fmt.Errorf("%s: %s says %q, %w", name, sql, got, err)
			}
		}
		return nil
	}
	var g errgroup.Group
	for i := range 2 {
		info, err := m.(nixspace.Snapshotter).Snapshot(h.ctx, nixspace.NewID())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("paused for %v, %d MiB of which %d are shared", info.Pause, info.Size>>20, info.Shared>>20)
		for _, disk := range []bool{false, true} {
			if disk && i == 0 {
				continue
			}
			clone := spec
			clone.SessionID, clone.Hostname = nixspace.NewID(), fmt.Sprintf("clone%d%t", i, disk)
			clone.Snapshot, clone.DiskOnly, clone.Throwaway = info.ID, disk, i == 1
			g.Go(func() error {
				c, err := l.Start(h.ctx, clone, nil)
				if err != nil {
					return err
				}
				return check(c, clone.Hostname)
			})
		}
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	// The parent's client never noticed, and what the clones did is not the parent's.
	if err := p.Signal("SIGINT"); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := check(m, "parent"); err != nil {
		t.Error(err)
	}
}
