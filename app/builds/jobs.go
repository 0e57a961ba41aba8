package builds

import (
	"context"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// Jobs queues durable work in the transaction that asks for it.
type Jobs interface {
	// EnqueueBuild queues a build that was created in tx.
	EnqueueBuild(ctx context.Context, tx records.Tx, build nixspace.ID) error
	// CancelBuild asks a queued or running build to stop.
	CancelBuild(ctx context.Context, build nixspace.ID) error
}
