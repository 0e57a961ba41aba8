//go:build vm

package qemu

import (
	"context"
	"os"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace/vm/vmtest"
)

// BenchmarkBoot measures a cold boot to the first command's answer, of one
// machine and of three at once, and how much processor time of the host a machine
// took for it. BOOT_APPEND adds kernel parameters, to try them.
func BenchmarkBoot(b *testing.B) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*vmtest.Patience)
	defer cancel()
	d := New(Config{Accel: "tcg", Binary: os.Getenv("BOOT_QEMU")})
	for _, n := range []int{1, 3} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			k := vmtest.New(b)
			before := childTime(b)
			for b.Loop() {
				b.StopTimer()
				boots := make([]func(context.Context) error, n)
				for i := range boots {
					spec := k.Spec(ctx, b)
					spec.Append = os.Getenv("BOOT_APPEND")
					boots[i] = func(ctx context.Context) error { return k.Boot(ctx, d, spec) }
				}
				b.StartTimer()
				var g errgroup.Group
				for _, boot := range boots {
					g.Go(func() error { return boot(ctx) })
				}
				if err := g.Wait(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(childTime(b)-before)/1e6/float64(b.N*n), "cpu-ms/machine")
		})
	}
}

// childTime returns the processor time of ended child processes, in nanoseconds.
func childTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
