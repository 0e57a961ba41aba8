package qemu

import (
	"context"
	"os"
)

// replaceData makes QEMU use another socket for the data port, which drops
// whatever is still on its way in the former one.
func (t *transport) replaceData(ctx context.Context, other *os.File) error {
	const name = "data"
	if _, err := t.monitor.command(ctx, "getfd", map[string]any{"fdname": name}, other); err != nil {
		return err
	}
	_, err := t.monitor.command(ctx, "chardev-change", map[string]any{
		"id": "data",
		"backend": map[string]any{
			"type": "socket",
			"data": map[string]any{
				"addr":   map[string]any{"type": "fd", "data": map[string]any{"str": name}},
				"server": false,
			},
		},
	}, nil)
	return err
}
