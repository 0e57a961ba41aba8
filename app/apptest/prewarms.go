package apptest

import (
	"context"
	"sync"

	"github.com/nixspace/nixspace"
)

// Prewarms is a queue of templates to make that remembers what was put into it. What
// a transaction put into it stays there even if that failed.
type Prewarms struct {
	mu     sync.Mutex
	queued []nixspace.ID
}

// EnqueuePrewarm implements sessions.Prewarms.
func (p *Prewarms) EnqueuePrewarm(_ context.Context, _ nixspace.Tx, version nixspace.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queued = append(p.queued, version)
	return nil
}

// Take returns what is queued, and empties the queue.
func (p *Prewarms) Take() []nixspace.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queued
	p.queued = nil
	return q
}

// Prewarm implements nixspace.Prewarmer: it makes a template once for each
// environment. While HoldPrewarms holds it, it waits.
func (h *Machines) Prewarm(ctx context.Context, spec nixspace.MachineSpec) (made bool, err error) {
	h.mu.Lock()
	gate := h.prewarmGate
	h.mu.Unlock()
	if gate != nil {
		gate <- struct{}{}
		<-ctx.Done()
		return false, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.templates == nil {
		h.templates = map[string]bool{}
	}
	made = !h.templates[spec.Environment]
	h.templates[spec.Environment] = true
	return made, nil
}

// HoldPrewarms has every template wait until its making is given up. What comes from
// the channel says that one waits.
func (h *Machines) HoldPrewarms() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.prewarmGate = make(chan struct{})
	return h.prewarmGate
}
