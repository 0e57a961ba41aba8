package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// create makes a group on this host, or skips.
func create(t *testing.T, l Limits) *Group {
	t.Helper()
	g, err := Create(fmt.Sprintf("test-%d-%s", os.Getpid(), strings.ToLower(t.Name())), l)
	if errors.Is(err, ErrUnavailable) {
		t.Skipf("limits are NOT tested: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := g.Remove(ctx); err != nil {
			t.Error(err)
		}
		for _, dir := range g.dirs {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is left", dir)
			}
		}
	})
	return g
}

// shell runs a script that waits on its standard input before it begins, so that
// it begins inside the group.
func shell(t *testing.T, g *Group, script string) (*exec.Cmd, error) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "read go; "+script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "go")
	in.Close()
	err = cmd.Wait()
	t.Logf("%v %s", err, out.String())
	return cmd, err
}

func TestMemoryLimit(t *testing.T) {
	g := create(t, Limits{Memory: 32 << 20})
	if _, err := shell(t, g, "true"); err != nil {
		t.Fatalf("a small process did not run: %v", err)
	}
	if _, err := shell(t, g, "head -c 200000000 /dev/zero | tail -c 199999999 | wc -c >/dev/null && exit 0; exit 1"); err == nil {
		// The pipe's last member succeeds also when tail was killed: what counts is
		// that tail was, which the group's own counter says.
		if !oomKilled(t, g) {
			t.Error("200 MB were allocated under a limit of 32 MiB")
		}
	}
}

func oomKilled(t *testing.T, g *Group) bool {
	for _, dir := range g.dirs {
		for _, file := range []string{"memory.events", "memory.oom_control"} {
			b, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue
			}
			t.Logf("%s: %s", file, b)
			for line := range strings.Lines(string(b)) {
				if f := strings.Fields(line); len(f) == 2 && f[0] == "oom_kill" && f[1] != "0" {
					return true
				}
			}
		}
	}
	return false
}

func TestPIDLimit(t *testing.T) {
	g := create(t, Limits{PIDs: 3})
	if _, err := shell(t, g, "sleep 0 & sleep 0 & sleep 0 & sleep 0 & wait"); err == nil {
		t.Error("five processes ran under a limit of three")
	}
}

func TestCPULimit(t *testing.T) {
	g := create(t, Limits{CPUs: 0.1})
	cmd, err := shell(t, g, "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done")
	if err != nil {
		t.Fatal(err)
	}
	throttled := false
	for _, dir := range g.dirs {
		b, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) == 2 && f[0] == "nr_throttled" && f[1] != "0" {
				throttled = true
			}
		}
	}
	if used := cmd.ProcessState.UserTime(); !throttled && used > 20*time.Millisecond {
		t.Errorf("a loop of %v was never throttled to a tenth of a processor", used)
	}
}

func TestRemoveKills(t *testing.T) {
	g := create(t, Limits{})
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := Open(g.name).Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the process ended by itself")
	}
	if err := g.Remove(ctx); err != nil {
		t.Errorf("a second Remove: %v", err)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "/", "a\x00"} {
		if _, err := Create(name, Limits{}); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

// fakeMounts makes a host with the given hierarchies in a folder.
func fakeMounts(t *testing.T, lines ...string) (mountinfo, root string) {
	root = t.TempDir()
	mountinfo = filepath.Join(root, "mountinfo")
	text := strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "ROOT", root)
	if err := os.WriteFile(mountinfo, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return mountinfo, root
}

func TestDetect(t *testing.T) {
	v1 := []string{
		"30 29 0:26 / ROOT/cpu rw - cgroup cgroup rw,cpu,cpuacct",
		"31 29 0:27 / ROOT/memory rw - cgroup cgroup rw,memory",
		"32 29 0:28 / ROOT/pids rw - cgroup cgroup rw,pids",
	}
	v2 := "33 29 0:29 / ROOT/unified rw - cgroup2 cgroup2 rw"
	for _, test := range []struct {
		name        string
		controllers string
		lines       []string
		want        int // hierarchies; 0 for none
		unified     bool
	}{
		{"version 1", "", v1, 3, false},
		{"version 2", "cpuset cpu io memory hugetlb pids", []string{v2}, 1, true},
		{"both, controllers in 1", "hugetlb", append([]string{v2}, v1...), 3, false},
		{"version 1 without pids", "", v1[:2], 0, false},
		{"none", "", []string{"29 1 8:1 / / rw - ext4 /dev/sda1 rw", "garbage", ""}, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			mountinfo, root := fakeMounts(t, test.lines...)
			if err := os.Mkdir(filepath.Join(root, "unified"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, "unified", "cgroup.controllers"), []byte(test.controllers+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			h, err := detect(mountinfo)
			if test.want == 0 {
				if !errors.Is(err, ErrUnavailable) {
					t.Errorf("got %v, want ErrUnavailable", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := len(h.dirs("x")); got != test.want || (h.unified != "") != test.unified {
				t.Errorf("%d hierarchies, unified %q", got, h.unified)
			}
		})
	}
}

// TestUnifiedFiles checks what is written on a version 2 host, which this one
// need not be.
func TestUnifiedFiles(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, parent, "x")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"cpu.max": "150000 100000", "memory.max": "1048576", "pids.max": "64", "memory.swap.max": "0"}
	for name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{root, filepath.Join(root, parent)} {
		if err := os.WriteFile(filepath.Join(d, "cgroup.subtree_control"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h := &hierarchies{unified: root}
	if _, err := h.create("x", Limits{CPUs: 1.5, Memory: 1 << 20, PIDs: 64}); err != nil {
		t.Fatal(err)
	}
	files["../cgroup.subtree_control"] = "+cpu +memory +pids"
	for name, want := range files {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s holds %q, want %q (%v)", name, b, want, err)
		}
	}
}
