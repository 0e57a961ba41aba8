package qemu

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"os"
	"sync"
)

// Machines' user ids lie in a range that no distribution, container runtime or
// directory service hands out by default: 0x70000000 to 0x70ffffff. They have no
// name and own no file.
const firstUser = 0x70000000

// machineUser returns the user id of a machine. Two machines may share one, in
// the one case of 16 million; that weakens one of several walls.
func machineUser(id string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash takes everything
	return firstUser + h.Sum32()&0xffffff
}

// userMaps are the ranges of user ids that exist in this user namespace.
var userMaps = sync.OnceValue(func() [][2]uint64 {
	f, err := os.Open("/proc/self/uid_map")
	if err != nil {
		return nil
	}
	defer f.Close()
	var out [][2]uint64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var inside, outside, length uint64
		if _, err := fmt.Sscan(lines.Text(), &inside, &outside, &length); err == nil {
			out = append(out, [2]uint64{inside, inside + length})
		}
	}
	return out
})

// userMapped reports whether a process may become uid: in a container only few
// user ids exist.
func userMapped(uid uint32) bool {
	for _, r := range userMaps() {
		if r[0] <= uint64(uid) && uint64(uid) < r[1] {
			return true
		}
	}
	return false
}
