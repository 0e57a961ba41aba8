package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processesIn returns the processes whose working directory is dir. Every
// process of a PostgreSQL server works in its data directory, so this finds a
// server and also the backends that a killed one left behind, whatever its pid
// file says, and never a process that only has the number of an old server.
func processesIn(dir string) ([]int, error) {
	var want unix.Stat_t
	if err := unix.Stat(dir, &want); err != nil {
		return nil, fmt.Errorf("look at %s: %w", dir, err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var st unix.Stat_t
		// Fails for processes of other users and for those that have just ended.
		if unix.Stat(filepath.Join("/proc", e.Name(), "cwd"), &st) != nil || st.Dev != want.Dev || st.Ino != want.Ino {
			continue
		}
		if comm, err := os.ReadFile(filepath.Join("/proc", e.Name(), "comm")); err == nil && strings.HasPrefix(string(comm), "postgres") {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// pidFile is what PostgreSQL writes into postmaster.pid; see miscadmin.h of its
// source for the lines.
type pidFile struct {
	PID    int
	Status string // "starting", "ready", "stopping", "standby"
}

func readPIDFile(data string) (pidFile, error) {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return pidFile{}, err
	}
	lines := strings.Split(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil {
		return pidFile{}, fmt.Errorf("read postmaster.pid: %w", err)
	}
	p := pidFile{PID: pid}
	if len(lines) > 7 {
		p.Status = strings.TrimSpace(lines[7])
	}
	return p, nil
}

// clearOld ends whatever still runs in the data directory and then removes the
// pid file that it left, so that a new server can start. It returns whether a
// whole server (not only left-over backends) was found running.
//
// A server that outlived its owner is stopped and started again rather than used
// as it is: it may already be on its way down, because the owner's death sends it
// a signal, and it would not go down with its new owner. Stopping is clean and
// loses nothing.
//
// The caller holds the lock of the state directory, so nothing else starts a
// server here meanwhile.
func clearOld(ctx context.Context, data string) (found bool, err error) {
	pids, err := processesIn(data)
	if err != nil {
		return false, err
	}
	if pf, err := readPIDFile(data); err == nil {
		for _, pid := range pids {
			if pid == pf.PID {
				found = true
				if err := endProcess(ctx, pid); err != nil {
					return true, fmt.Errorf("stop the PostgreSQL server %d that an earlier run left: %w", pid, err)
				}
			}
		}
	}
	// Backends end by themselves once they see that the server is gone, unless
	// they are stuck; nothing may have the files open when the next one starts.
	if pids, err = processesIn(data); err != nil {
		return found, err
	}
	for _, pid := range pids {
		if err := endBackend(ctx, pid); err != nil {
			return found, fmt.Errorf("end the PostgreSQL process %d that an earlier run left: %w", pid, err)
		}
	}
	// PostgreSQL replaces a stale pid file by itself, but not where its process
	// number belongs to another program of the same user by now.
	if err := os.Remove(filepath.Join(data, "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return found, fmt.Errorf("remove stale postmaster.pid: %w", err)
	}
	return found, nil
}

const (
	fastStop      = 60 * time.Second // for SIGINT: roll back, checkpoint
	immediateStop = 10 * time.Second // for SIGQUIT: no checkpoint, recovery at the next start
)

// endProcess stops a server, which need not be a child: fast, then immediate,
// then by force. PostgreSQL's recovery makes even the last one safe.
func endProcess(ctx context.Context, pid int) error {
	return endWith(ctx, pid, []step{{unix.SIGINT, fastStop}, {unix.SIGQUIT, immediateStop}, {unix.SIGKILL, immediateStop}})
}

func endBackend(ctx context.Context, pid int) error {
	return endWith(ctx, pid, []step{{0, 2 * time.Second}, {unix.SIGQUIT, immediateStop}, {unix.SIGKILL, immediateStop}})
}

type step struct {
	signal unix.Signal
	wait   time.Duration
}

func endWith(ctx context.Context, pid int, steps []step) error {
	// The handle keeps naming this process, even if its number is given away.
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }()
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := unix.PidfdSendSignal(fd, s.signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
		ended, err := waitEnd(ctx, fd, s.wait)
		if err != nil {
			return err
		}
		if ended {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end", pid)
}

// waitEnd waits until the process of a pidfd has ended.
func waitEnd(ctx context.Context, fd int, limit time.Duration) (bool, error) {
	deadline := time.Now().Add(limit)
	for {
		// Short turns, because poll cannot see ctx.
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 100)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return false, fmt.Errorf("wait for a process: %w", err)
		case n > 0:
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case time.Now().After(deadline):
			return false, nil
		}
	}
}

// Clear ends every PostgreSQL process that works in the data directory, which
// may be that of a server without an owner. The caller must know that the
// directory is in use by nobody.
func Clear(ctx context.Context, data string) error {
	_, err := clearOld(ctx, data)
	return err
}
