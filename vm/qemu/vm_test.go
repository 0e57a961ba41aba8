//go:build vm

package qemu

import (
	"testing"

	"github.com/nixspace/nixspace/vm/vmtest"
)

func TestSuite(t *testing.T) {
	vmtest.Run(t, New(Config{Accel: "tcg"}))
}
