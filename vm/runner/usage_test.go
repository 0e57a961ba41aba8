package runner

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	stat := "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 4242 1000000 25 18446744073709551615 1"
	cpu, memory, err := Process{PID: 7, Start: 4242}.usage([]byte(stat))
	if err != nil || cpu != 2*time.Second || memory != 25*int64(os.Getpagesize()) {
		t.Errorf("usage %v, %d bytes, %v", cpu, memory, err)
	}
	if _, _, err := (Process{PID: 7, Start: 1}).usage([]byte(stat)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of another process: %v", err)
	}
	for _, bad := range []string{"", "7 (a) S 1", "no parenthesis at all"} {
		if _, _, err := (Process{PID: 7}).usage([]byte(bad)); err == nil {
			t.Errorf("usage of %q", bad)
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	p, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if cpu, memory, err := p.Usage(); err != nil || cpu < 0 || memory < 1<<20 {
		t.Errorf("usage %v, %d bytes, %v", cpu, memory, err)
	}
}
