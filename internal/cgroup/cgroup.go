// Package cgroup puts processes under limits with Linux control groups, of either
// version.
package cgroup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Limits bound what a group's processes use together. A zero field sets no
// limit.
type Limits struct {
	CPUs   float64 // processors
	Memory int64   // bytes; swap is not added to it
	PIDs   int64   // processes and threads
}

// ErrUnavailable is in the error of [Create] where this host, or this user, has
// no control groups to use.
var ErrUnavailable = errors.New("control groups are not available")

// parent is the group under which all others are made, directly below the root.
const parent = "nixspace"

// Group is one control group. Its zero value is a group that does not exist: its
// methods do nothing.
type Group struct {
	name string
	dirs []string // one per hierarchy
}

// hierarchies are the mount points of control groups.
type hierarchies struct {
	unified string            // of version 2, with the controllers that we need; or empty
	legacy  map[string]string // of version 1, by controller
}

// controllers are those that limits need.
var controllers = []string{"cpu", "memory", "pids"}

// Create makes the group of a name under limits. A group of this name that
// exists already is used and gets the limits. The error wraps [ErrUnavailable]
// where groups cannot be made here, and says why.
func Create(name string, l Limits) (*Group, error) {
	if name == "" || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
		return nil, fmt.Errorf("%q cannot name a control group", name)
	}
	h, err := detect("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return h.create(name, l)
}

// Open returns the group of a name, which need not exist.
func Open(name string) *Group {
	h, err := detect("/proc/self/mountinfo")
	if err != nil {
		return &Group{}
	}
	return &Group{name: name, dirs: h.dirs(name)}
}

// detect finds out which version is in use.
func detect(mountinfo string) (*hierarchies, error) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer f.Close()
	h := &hierarchies{legacy: make(map[string]string)}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// "36 35 98:0 /root /mount/point options… - type source super-options"
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) < 3 {
			continue
		}
		switch point := fields[4]; kind[0] {
		case "cgroup2":
			if hasControllers(point) {
				h.unified = point
			}
		case "cgroup":
			for _, option := range strings.Split(kind[2], ",") {
				if slices.Contains(controllers, option) {
					h.legacy[option] = point
				}
			}
		}
	}
	if h.unified == "" && len(h.legacy) < len(controllers) {
		return nil, fmt.Errorf("%w: the controllers %s are not mounted", ErrUnavailable, strings.Join(controllers, ", "))
	}
	return h, nil
}

// hasControllers reports whether a version 2 hierarchy offers what limits need. On
// hosts with both versions it is mounted without any.
func hasControllers(point string) bool {
	b, err := os.ReadFile(filepath.Join(point, "cgroup.controllers"))
	if err != nil {
		return false
	}
	have := strings.Fields(string(b))
	for _, c := range controllers {
		if !slices.Contains(have, c) {
			return false
		}
	}
	return true
}

func (h *hierarchies) dirs(name string) []string {
	if h.unified != "" {
		return []string{filepath.Join(h.unified, parent, name)}
	}
	var out []string
	for _, c := range controllers {
		dir := filepath.Join(h.legacy[c], parent, name)
		if !slices.Contains(out, dir) { // "cpu,cpuacct" and the like share a mount
			out = append(out, dir)
		}
	}
	return out
}

func (h *hierarchies) create(name string, l Limits) (_ *Group, err error) {
	g := &Group{name: name, dirs: h.dirs(name)}
	defer func() {
		if err != nil {
			for _, dir := range g.dirs {
				_ = os.Remove(dir)
			}
			if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EBUSY) {
				err = fmt.Errorf("%w to this user: %w", ErrUnavailable, err)
			}
		}
	}()
	if h.unified != "" {
		if err := os.MkdirAll(filepath.Join(h.unified, parent), 0o755); err != nil {
			return nil, err
		}
		for _, dir := range []string{h.unified, filepath.Join(h.unified, parent)} {
			if err := write(dir, "cgroup.subtree_control", "+cpu +memory +pids"); err != nil {
				return nil, err
			}
		}
	}
	for _, dir := range g.dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if h.unified != "" {
		return g, limitUnified(g.dirs[0], l)
	}
	return g, h.limitLegacy(name, l)
}

// period is over which processor time is divided, in microseconds.
const period = 100_000

func limitUnified(dir string, l Limits) error {
	cpu, memory, pids := "max", "max", "max"
	if l.CPUs > 0 {
		cpu = strconv.FormatInt(int64(l.CPUs*period), 10)
	}
	if l.Memory > 0 {
		memory = strconv.FormatInt(l.Memory, 10)
	}
	if l.PIDs > 0 {
		pids = strconv.FormatInt(l.PIDs, 10)
	}
	err := errors.Join(
		write(dir, "cpu.max", cpu+" "+strconv.Itoa(period)),
		write(dir, "memory.max", memory),
		write(dir, "pids.max", pids),
	)
	if l.Memory > 0 {
		// Swap may be compiled out, and then needs no limit.
		if swap := write(dir, "memory.swap.max", "0"); !errors.Is(swap, fs.ErrNotExist) {
			err = errors.Join(err, swap)
		}
	}
	return err
}

func (h *hierarchies) limitLegacy(name string, l Limits) error {
	dir := func(controller string) string { return filepath.Join(h.legacy[controller], parent, name) }
	quota, memory, pids := "-1", "-1", "max"
	if l.CPUs > 0 {
		quota = strconv.FormatInt(int64(l.CPUs*period), 10)
	}
	if l.Memory > 0 {
		memory = strconv.FormatInt(l.Memory, 10)
	}
	if l.PIDs > 0 {
		pids = strconv.FormatInt(l.PIDs, 10)
	}
	return errors.Join(
		write(dir("cpu"), "cpu.cfs_period_us", strconv.Itoa(period)),
		write(dir("cpu"), "cpu.cfs_quota_us", quota),
		write(dir("memory"), "memory.limit_in_bytes", memory),
		write(dir("pids"), "pids.max", pids),
	)
}

func write(dir, file, value string) error {
	// Opened without O_CREATE: a controller that is not there must not become a
	// plain file.
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// Add moves a process, with all its threads, into the group. What it starts from
// then on is in the group too.
func (g *Group) Add(pid int) error {
	for _, dir := range g.dirs {
		if err := write(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("add process %d to control group %s: %w", pid, g.name, err)
		}
	}
	return nil
}

// PIDs returns the processes in the group.
func (g *Group) PIDs() ([]int, error) {
	var out []int
	for _, dir := range g.dirs {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil && !slices.Contains(out, pid) {
				out = append(out, pid)
			}
		}
	}
	return out, nil
}

// Remove kills whatever is left in the group and removes it. It succeeds where
// the group does not exist, and fails when processes outlive ctx.
func (g *Group) Remove(ctx context.Context) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		pids, err := g.PIDs()
		if err != nil {
			return err
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended by itself
		}
		var left error
		for _, dir := range g.dirs {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				left = err
			}
		}
		if left == nil {
			g.removeParents()
			return nil
		}
		// The kernel tells nobody when a dying process has left its group.
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("remove control group %s: %w", g.name, errors.Join(left, ctx.Err()))
		}
	}
}

// removeParents removes the common parent once the last group is gone; it cannot
// be removed before.
func (g *Group) removeParents() {
	for _, dir := range g.dirs {
		_ = os.Remove(filepath.Dir(dir))
	}
}
