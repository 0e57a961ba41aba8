package records

import (
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// Restore returns a version's manifest as it was resolved when it was made.
func Restore(v *nixspace.Version) (*manifest.Resolved, error) {
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return nil, fmt.Errorf("read version %s: %w", v.ID, err)
	}
	r, err := manifest.Restore(m, v.Canonical)
	if err != nil {
		return nil, fmt.Errorf("read version %s: %w", v.ID, err)
	}
	return r, nil
}

// Canonical returns the canonical form of a version.
func Canonical(v *nixspace.Version) (manifest.Canonical, error) {
	c, err := manifest.ReadCanonical(v.Canonical)
	if err != nil {
		return c, fmt.Errorf("read version %s: %w", v.ID, err)
	}
	return c, nil
}
