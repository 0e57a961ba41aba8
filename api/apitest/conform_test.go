package apitest_test

import (
	"context"
	"testing"
	"time"

	"github.com/nixspace/nixspace/api/apitest"
	"github.com/nixspace/nixspace/app"
)

func TestConform(t *testing.T) {
	ctx, cancel := context.WithTimeout(app.WithActor(t.Context(), apitest.Owner), time.Minute)
	defer cancel()
	apitest.Conform(ctx, t, apitest.New())
}
