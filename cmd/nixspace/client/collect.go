package client

import (
	"context"
	"time"
)

// Collection is what was found that nothing needs.
type Collection struct {
	DryRun bool      `json:"dryRun"`
	Items  []Garbage `json:"items"`
	Size   int64     `json:"size"`
	Failed int       `json:"failed"`
}

// Garbage is something that nothing needs.
type Garbage struct {
	Kind     string     `json:"kind"` // see [nixspace.GarbageKind]
	Name     string     `json:"name"`
	Reason   string     `json:"reason"`
	Size     int64      `json:"size"`
	LastUsed *time.Time `json:"lastUsed"`
	Removed  bool       `json:"removed"`
	Error    string     `json:"error"`
}

// CollectGarbage removes what nothing needs and was not used for so long, or says
// what would go.
func (c *Client) CollectGarbage(ctx context.Context, dryRun bool, olderThan time.Duration, sessions, snapshots bool) (*Collection, error) {
	var out struct{ R *Collection }
	err := c.query(ctx, `mutation($in:CollectGarbageInput!){r:collectGarbage(input:$in){dryRun size failed items{kind name reason size lastUsed removed error}}}`,
		map[string]any{"in": map[string]any{
			"dryRun": dryRun, "olderThanSeconds": int64(olderThan / time.Second), "sessions": sessions, "snapshots": snapshots,
		}}, &out)
	return out.R, err
}
