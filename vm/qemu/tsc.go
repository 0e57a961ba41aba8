package qemu

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// rdtsc reads the processor's time-stamp counter.
func rdtsc() uint64

// tscKHz measures the frequency of the host's time-stamp counter, once. What
// /proc/cpuinfo calls "cpu MHz" is a momentary figure, and an error here makes
// every guest's clock run fast or slow.
var tscKHz = sync.OnceValues(func() (int64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t0, n0, err := sample()
	if err != nil {
		return 0, err
	}
	time.Sleep(30 * time.Millisecond)
	t1, n1, err := sample()
	if err != nil {
		return 0, err
	}
	if n1 <= n0 || t1 <= t0 {
		return 0, fmt.Errorf("the time-stamp counter does not count")
	}
	return int64(float64(t1-t0) / float64(n1-n0) * 1e6), nil
})

// sample reads counter and clock together: of several tries, the one that was
// disturbed least.
func sample() (ticks uint64, ns int64, err error) {
	best := uint64(1 << 63)
	for range 16 {
		var ts unix.Timespec
		before := rdtsc()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &ts); err != nil {
			return 0, 0, err
		}
		after := rdtsc()
		if d := after - before; d < best {
			best, ticks, ns = d, before+d/2, ts.Nano()
		}
	}
	return ticks, ns, nil
}
