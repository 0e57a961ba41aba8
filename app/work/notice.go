package work

import (
	"context"

	"github.com/nixspace/nixspace"
)

// NextNotice waits for a notice that is wanted, or that asks to read everything
// again. It returns false when there will be none.
func NextNotice(ctx context.Context, notices <-chan nixspace.Notice, wanted func(nixspace.Notice) bool) bool {
	for {
		select {
		case n, open := <-notices:
			if !open {
				return false
			}
			if n.Topic == nixspace.NoticeResync || wanted(n) {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}
