package runner

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// ticks is how many clock ticks the kernel counts in a second of processor time
// (USER_HZ): 100 on every architecture that Go runs Linux on.
const ticks = 100

// Usage returns the processor time that the process has used and the bytes of
// memory that it holds. The error is [fs.ErrNotExist] where it has ended.
func (p Process) Usage() (cpu time.Duration, memory int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return 0, 0, err
	}
	return p.usage(b)
}

func (p Process) usage(stat []byte) (cpu time.Duration, memory int64, err error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", p.PID, len(fields))
	}
	var n [4]uint64
	for i, field := range []int{19, 11, 12, 21} { // starttime, utime, stime, rss
		if n[i], err = strconv.ParseUint(string(fields[field]), 10, 63); err != nil {
			return 0, 0, fmt.Errorf("read /proc/%d/stat: %w", p.PID, err)
		}
	}
	if n[0] != p.Start {
		return 0, 0, fmt.Errorf("process %d is another one: %w", p.PID, fs.ErrNotExist)
	}
	return time.Duration(n[1]+n[2]) * (time.Second / ticks), int64(n[3]) * int64(os.Getpagesize()), nil
}
