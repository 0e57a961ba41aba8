package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/nixspace/nixspace"
)

// Owner is the system user that PostgreSQL runs as. PostgreSQL refuses to run as
// root, so a server that was started by root drops to another user for it.
type Owner struct {
	Name     string
	UID, GID uint32
	drop     bool // we are root, and it is somebody else
}

// serverUsers are the users that a root server may drop to, best first.
var serverUsers = []string{"nixspace", "postgres", "nobody"}

// FindOwner returns who PostgreSQL shall run as for the data directory data: the
// user of this process, or, when that is root, the owner of data, if it exists
// and belongs to somebody, and else the first of nixspace, postgres and nobody.
func FindOwner(data string) (Owner, error) {
	uid, gid := os.Getuid(), os.Getgid()
	if uid != 0 {
		o := Owner{Name: strconv.Itoa(uid), UID: uint32(uid), GID: uint32(gid)}
		if u, err := user.Current(); err == nil {
			o.Name = u.Username
		}
		return o, nil
	}
	if info, err := os.Stat(data); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			o := Owner{Name: strconv.Itoa(int(st.Uid)), UID: st.Uid, GID: st.Gid, drop: true}
			if u, err := user.LookupId(o.Name); err == nil {
				o.Name = u.Username
			}
			return o, nil
		}
	}
	for _, name := range serverUsers {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 != nil || err2 != nil || uid == 0 {
			continue
		}
		return Owner{Name: name, UID: uint32(uid), GID: uint32(gid), drop: true}, nil
	}
	return Owner{}, nixspace.Errorf(nixspace.KindUnavailable, "postgres_user",
		"PostgreSQL cannot run as root, and none of the users nixspace, postgres and nobody exists").
		WithHint("make one with: useradd --system --no-create-home --shell /usr/sbin/nologin nixspace")
}

// SysProcAttr returns the attributes that start a process as the owner, in a
// process group of its own: a Ctrl-C at the terminal must not reach PostgreSQL
// before the server that uses it has finished.
func (o Owner) SysProcAttr() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if o.drop {
		a.Credential = &syscall.Credential{Uid: o.UID, Gid: o.GID}
	}
	return a
}

// own makes path, a directory, exist with mode 0700 and belong to the owner.
func (o Owner) own(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return err
	}
	return o.chown(path)
}

func (o Owner) chown(path string) error {
	if !o.drop {
		return nil
	}
	return os.Lchown(path, int(o.UID), int(o.GID))
}

// chownAll gives a whole tree to the owner, as a data directory needs that was
// copied or restored by root.
func (o Owner) chownAll(root string) error {
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return o.chown(path)
	})
}

// checkReach fails, with code "state_unreachable", when the owner cannot enter a
// directory on the way to path. Only other people's permissions matter here: as
// root we could enter anything, PostgreSQL cannot.
func (o Owner) checkReach(path string) error {
	if !o.drop {
		return nil
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("look at %s: %w", dir, err)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		mode := info.Mode().Perm()
		enter := mode&0o001 != 0
		if ok && st.Uid == o.UID {
			enter = mode&0o100 != 0
		} else if ok && st.Gid == o.GID {
			enter = mode&0o010 != 0
		}
		if !enter {
			return nixspace.Errorf(nixspace.KindInvalid, "state_unreachable",
				"PostgreSQL runs as the user %s, who cannot enter %s (mode %04o) on the way to %s", o.Name, dir, mode, path).
				WithHint("choose another state directory, for example --state /var/lib/nixspace, or allow it with: chmod o+x %s", dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
