package apitest_test

import (
	"context"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/apitest"
)

func TestConform(t *testing.T) {
	ctx, cancel := context.WithTimeout(nixspace.WithActor(t.Context(), apitest.Owner), time.Minute)
	defer cancel()
	apitest.Conform(ctx, t, apitest.New())
}
