package builds

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// Reconcile queues every build that is not final, and lets the queue see
// to it that one that is queued already is not run twice.
func (a *UseCases) Reconcile(ctx context.Context) error {
	open, err := a.records.Store.Read().Builds().List(ctx, "")
	if err != nil {
		return err
	}
	for _, b := range open {
		err := a.records.Write(ctx, func(_ nixspace.Actor, tx records.Tx) error {
			if b.Status == nixspace.BuildRunning {
				b.Status, b.StartedAt = nixspace.BuildQueued, time.Time{}
				if moved, err := tx.Builds().Transition(ctx, &b, nixspace.BuildRunning); err != nil || !moved {
					return err
				}
			}
			return a.jobs.EnqueueBuild(ctx, records.Plain(tx), b.ID)
		})
		if err != nil {
			return err
		}
		a.log.Info("queued an interrupted build again", "build", b.ID)
	}
	return nil
}
