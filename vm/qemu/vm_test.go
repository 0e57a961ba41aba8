//go:build vm

package qemu

import (
	"testing"

	"github.com/nixspace/nixspace/vm/vmtest"
)

func TestSuite(t *testing.T) {
	t.Cleanup(vmtest.Clean)
	vmtest.Run(t, New(Config{Accel: "tcg"}))
}
