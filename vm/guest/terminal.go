package guest

import (
	"os"

	"golang.org/x/sys/unix"
)

// openTerminal opens a pseudo-terminal. Both of its ends are made here rather
// than with a library because the agent's end must be non-blocking, so that
// closing it ends whoever reads it, and because the other end must belong to the
// user that gets it.
func openTerminal(cols, rows uint16, become bool) (*stdio, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("open /dev/ptmx", err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	child, err := openSlave(fd, become)
	if err != nil {
		_ = master.Close()
		return nil, err
	}
	s := &stdio{child: [3]int{child, child, child}, in: master, out: master, tty: true}
	if cols > 0 && rows > 0 {
		if err := resize(master, cols, rows); err != nil {
			s.closeChild()
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func openSlave(master int, become bool) (int, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return -1, os.NewSyscallError("unlock terminal", err)
	}
	n, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err != nil {
		return -1, os.NewSyscallError("number of terminal", err)
	}
	fd, err := unix.Open("/dev/pts/"+itoa(int(n)), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("open terminal", err)
	}
	if become {
		if err := unix.Fchown(fd, devUID, devGID); err != nil {
			_ = unix.Close(fd)
			return -1, os.NewSyscallError("chown terminal", err)
		}
	}
	return fd, nil
}

// resize sets the size of a terminal; the kernel tells its foreground processes.
func resize(master *os.File, cols, rows uint16) error {
	raw, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var ierr error
	err = raw.Control(func(fd uintptr) {
		ierr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows})
	})
	if err != nil {
		return err
	}
	return ierr
}

// foreground returns the process group in the foreground of a terminal.
func foreground(master *os.File) (int, error) {
	raw, err := master.SyscallConn()
	if err != nil {
		return 0, err
	}
	group := 0
	var ierr error
	err = raw.Control(func(fd uintptr) { group, ierr = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
	if err != nil {
		return 0, err
	}
	return group, ierr
}
