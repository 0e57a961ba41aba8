package fetch

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Users of fetches have no name and own nothing but a fetch: 0x71000000 to
// 0x71ffffff, next to those of the machines.
const firstUser = 0x71000000

// gitUser returns whom git runs as: where this process is root, somebody without
// rights, so that a mistake of git's is nobody's way in. Ssh wants a user that has
// a name. Nil is this process's own user: where it is not root, where no other one
// exists, or where another one cannot get to dir.
func gitUser(named bool, dir string) *syscall.Credential {
	if os.Getuid() != 0 || !reachable(dir) {
		return nil
	}
	if named {
		for _, name := range []string{"nixspace", "nobody"} {
			u, err := user.Lookup(name)
			if err != nil {
				continue
			}
			uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
			gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
			if err1 == nil && err2 == nil && uid != 0 && mapped(uint32(uid)) {
				return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
			}
		}
		return nil
	}
	id := firstUser + rand.Uint32N(1<<24)
	if !mapped(id) {
		return gitUser(true, dir)
	}
	return &syscall.Credential{Uid: id, Gid: id}
}

// reachable reports whether everybody may enter the directories above dir.
func reachable(dir string) bool {
	for dir = filepath.Dir(dir); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// mapped reports whether a user exists in this user namespace.
func mapped(uid uint32) bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		var inside, outside, length uint64
		if _, err := fmt.Sscan(line, &inside, &outside, &length); err == nil && inside <= uint64(uid) && uint64(uid) < inside+length {
			return true
		}
	}
	return false
}
