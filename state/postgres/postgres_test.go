package postgres

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait"))
}

// limit is generous: nothing here is about speed.
const limit = 2 * time.Minute

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func openTest(t testing.TB) *DB {
	t.Helper()
	d, err := Open(testContext(t), postgrestest.URL(t, Migrate), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

func wantKind(t testing.TB, err error, kind nixspace.Kind, code string) {
	t.Helper()
	if nixspace.ErrorKind(err) != kind || nixspace.ErrorCode(err) != code {
		t.Errorf("got error %v (%s, %s), want %s, %s", err, nixspace.ErrorKind(err), nixspace.ErrorCode(err), kind, code)
	}
}
