package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
)

// prewarmer is a worker that can make templates.
type prewarmer struct {
	builderFunc
	prewarm func(context.Context, nixspace.ID) error
}

func (p prewarmer) RunPrewarm(ctx context.Context, id nixspace.ID) error { return p.prewarm(ctx, id) }

// One template is made at a time and once for each that is asked for; one that left
// the machine to a session comes again.
func TestPrewarm(t *testing.T) {
	pool := postgrestest.Pool(t, Migrate)
	q, err := New(pool, Config{Server: "server", PrewarmDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	id := nixspace.NewID()
	ctx := testContext(t)
	for range 2 {
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return q.EnqueuePrewarm(ctx, fakeTx{tx: tx}, id) })
		if err != nil {
			t.Fatal(err)
		}
	}
	ran := make(chan nixspace.ID, 10)
	begun := 0
	startQueue(t, q, prewarmer{prewarm: func(ctx context.Context, id nixspace.ID) error {
		ran <- id
		switch begun++; begun {
		case 1:
			return nixspace.Errorf(nixspace.KindUnavailable, "prewarm_yields", "later")
		case 2:
			return nil
		}
		<-ctx.Done() // until the server ends
		return ctx.Err()
	}})
	for range 2 {
		if got := receive(t, ran); got != id {
			t.Errorf("the template of %s is made", got)
		}
	}
	other := nixspace.NewID()
	if err := q.EnqueuePrewarm(ctx, fakeTx{}, other); err != nil { // outside of a transaction
		t.Fatal(err)
	}
	if got := receive(t, ran); got != other {
		t.Errorf("the template of %s is made, and there is none to make", got)
	}
}
