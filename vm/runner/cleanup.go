package runner

import (
	"errors"
	"fmt"
)

// cleanup is a stack of what must be undone, last first, whatever happens.
type cleanup struct {
	steps []cleanupStep
}

type cleanupStep struct {
	what string
	undo func() error
}

// add registers how to undo what was just done.
func (c *cleanup) add(what string, undo func() error) {
	c.steps = append(c.steps, cleanupStep{what, undo})
}

// run undoes everything, also when some steps fail.
func (c *cleanup) run() error {
	var errs error
	for len(c.steps) > 0 {
		s := c.steps[len(c.steps)-1]
		c.steps = c.steps[:len(c.steps)-1]
		if err := s.undo(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", s.what, err))
		}
	}
	return errs
}
