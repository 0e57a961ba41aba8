package app_test

import (
	"testing"

	"github.com/nixspace/nixspace/api/apitest"
)

// The API is tested with a small application in memory; both do the same.
func TestConform(t *testing.T) {
	h := newHost(t)
	h.keepWorking(t)
	apitest.Conform(h.ctx, t, h.App)
}
