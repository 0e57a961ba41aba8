//go:build system

package system

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killing is a server with a session, of which things are killed at random moments.
type killing struct {
	*testing.T
	state string
	s     *server
	rand  *rand.Rand
}

// TestRandomKills kills the server, its PostgreSQL, runners and machines at random
// moments of starts, hibernations, resumes, snapshots, forks and removals. Whatever
// was killed: no session stays between two states, every snapshot that was reported
// is there and can be continued, a session's disk holds what it held, and nothing is
// left at the end. NIXSPACE_KILLS is how often (6), NIXSPACE_SEED repeats a run.
func TestRandomKills(t *testing.T) {
	rounds, seed := 6, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("NIXSPACE_KILLS")); err == nil {
		rounds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("NIXSPACE_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("NIXSPACE_SEED=%d", seed)
	state := stateDir(t)
	k := &killing{T: t, state: state, rand: rand.New(rand.NewPCG(seed, 2)), s: up(t, state, "--no-quickstart", "--on-exit", "stop")}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nixspace.toml"), []byte("schema = 1\n[packages]\nbash = \"*\"\n[resources]\nmemory = \"256MiB\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ok(t, state, "create", "kept", dir)
	ok(t, state, "start", "kept")
	ok(t, state, "exec", "kept/1", "--", "sh", "-c", "echo kept >/data/kept; sync")
	var snapshots []string
	for n := range rounds {
		op := []string{"start", "hibernate", "resume", "snapshot", "fork", "rm"}[k.rand.IntN(6)]
		victim := []string{"server", "postgres", "runner", "machine"}[k.rand.IntN(4)]
		name := fmt.Sprintf("s%d", n)
		args := []string{op, "kept/1"}
		switch op {
		case "start":
			ok(t, state, "stop", "kept/1")
		case "resume":
			ok(t, state, "hibernate", "kept/1")
		case "snapshot":
			args = append(args, "--name", name)
		case "rm":
			// Of a copy: the session itself is kept.
			copied := okJSON[struct{ Sessions []session }](t, state, "fork", "kept/1").Sessions
			ok(t, state, "stop", copied[0].Ref)
			args[1] = copied[0].Ref
		}
		r := k.during(victim, args...)
		t.Logf("round %d: %s killed during %s, which ended with %d", n, victim, op, r.code)
		if op == "snapshot" && r.code == 0 {
			snapshots = append(snapshots, "kept@"+name)
		}
		k.revive()
		k.settled()
		k.has(snapshots)
		k.tidy()
		// That its machine is gone may be noticed only now.
		got := ""
		eventually(t, "the session runs", func() bool {
			r := cli(t, state, "exec", "kept/1", "--", "cat", "/data/kept")
			if got = r.stdout; r.code != 0 {
				cli(t, state, "start", "kept/1")
			}
			return r.code == 0
		})
		if got != "kept\n" {
			t.Fatalf("the session's disk holds %q", got)
		}
	}
	for _, snap := range snapshots {
		ok(t, state, "restore", snap)
		all := k.sessions()
		newest := slices.MaxFunc(all, func(a, b session) int { return strings.Compare(number(a.Ref), number(b.Ref)) })
		if got := ok(t, state, "exec", newest.Ref, "--", "cat", "/data/kept"); got != "kept\n" {
			t.Errorf("%s holds %q", snap, got)
		}
		k.tidy()
	}
	k.s.interrupt()
	nothingLeft(t, state)
}

// number is the number of a session, so that text compares as numbers do.
func number(ref string) string {
	n, _ := strconv.Atoi(ref[strings.LastIndex(ref, "/")+1:])
	return fmt.Sprintf("%09d", n)
}

// during runs a command line and kills something at some moment of it, or just after.
func (k *killing) during(victim string, args ...string) result {
	k.Helper()
	done := make(chan result, 1)
	go func() { done <- cli(k.T, k.state, args...) }()
	var r result
	ended := false
	select {
	case <-time.After(time.Duration(k.rand.IntN(1500)) * time.Millisecond):
	case r = <-done:
		ended = true
	}
	k.kill(victim)
	if !ended {
		r = <-done
	}
	return r
}

func (k *killing) kill(victim string) {
	k.Helper()
	pid := 0
	switch victim {
	case "server":
		k.s.signal(syscall.SIGKILL)
		return
	case "postgres":
		b, err := os.ReadFile(filepath.Join(k.state, "pg/data/postmaster.pid"))
		if err != nil {
			k.Fatal(err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		pid, _ = strconv.Atoi(line)
	default:
		// Of any session that has one: a copy that just comes up, too.
		found, err := filepath.Glob(filepath.Join(k.state, "sessions/*/status.json"))
		if err != nil {
			k.Fatal(err)
		}
		k.rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
		for _, path := range found {
			var st struct {
				Runner, VMM struct {
					PID int `json:"pid"`
				}
			}
			b, err := os.ReadFile(path)
			if err != nil || json.Unmarshal(b, &st) != nil {
				continue // it goes away just now
			}
			if pid = st.VMM.PID; victim == "runner" {
				pid = st.Runner.PID
			}
			// What runs under this number must be of this state directory.
			if cmdline := processes(k.T, k.state)[pid]; cmdline != "" {
				break
			}
			pid = 0
		}
	}
	if pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone by itself
	}
}

// revive has a server that answers: the one that there is, or the next.
func (k *killing) revive() {
	k.Helper()
	if k.rand.IntN(3) == 0 {
		k.s.signal(syscall.SIGKILL)
	}
	eventually(k.T, "the server answers or is gone", func() bool {
		select {
		case <-k.s.done:
			return true
		default:
			return cli(k.T, k.state, "list", "sessions").code == 0
		}
	})
	select {
	case <-k.s.done:
		k.s = up(k.T, k.state, "--no-quickstart", "--on-exit", "stop")
	default:
	}
}

func (k *killing) sessions() []session {
	k.Helper()
	return okJSON[struct{ Sessions []session }](k.T, k.state, "list", "sessions", "--all").Sessions
}

// settled waits until no session is between two states.
func (k *killing) settled() {
	k.Helper()
	eventually(k.T, "no session is between two states", func() bool {
		return !slices.ContainsFunc(k.sessions(), func(s session) bool {
			status := strings.ToLower(s.Status)
			return status == "creating" || status == "stopping"
		})
	})
}

// has checks that the snapshots that were reported are there, whole.
func (k *killing) has(reported []string) {
	k.Helper()
	have := okJSON[struct {
		Snapshots []struct{ Ref, State string }
	}](k.T, k.state, "snapshots").Snapshots
	for _, name := range reported {
		if !slices.ContainsFunc(have, func(s struct{ Ref, State string }) bool {
			return strings.HasSuffix(s.Ref, name) && strings.EqualFold(s.State, "ready")
		}) {
			k.Errorf("the snapshot %s is not there, or not whole: %v", name, have)
		}
	}
}

// tidy removes every session but the first.
func (k *killing) tidy() {
	k.Helper()
	for _, s := range k.sessions() {
		if !strings.HasSuffix(s.Ref, "/1") {
			eventually(k.T, s.Ref+" can be removed", func() bool { return cli(k.T, k.state, "rm", "--force", s.Ref).code == 0 })
		}
	}
}
