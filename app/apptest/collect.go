package apptest

import (
	"context"
	"maps"
	"time"

	"github.com/nixspace/nixspace"
)

var _ nixspace.GarbageCollector = (*Machines)(nil)

// Leave makes the host hold a disk that nobody asked for.
func (h *Machines) Leave(id nixspace.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.disks[id] = true
}

// CollectFiles implements nixspace.GarbageCollector. A host that exists in memory
// keeps no files.
func (h *Machines) CollectFiles(context.Context, time.Time, bool) ([]nixspace.Garbage, error) {
	return nil, nil
}

// SessionSize implements nixspace.GarbageCollector: a disk has 100 bytes.
func (h *Machines) SessionSize(_ context.Context, id nixspace.ID) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.disks[id] {
		return 100, nil
	}
	return 0, nil
}

// AgeRoots says of all links that there are that they were made at a time; those
// that are made later are new.
func (p *Packages) AgeRoots(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.aged = map[string]time.Time{}
	for name := range p.roots {
		p.aged[name] = at
	}
}

// RootsBefore implements collect.Roots.
func (p *Packages) RootsBefore(_ context.Context, before time.Time) (map[string]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	roots := maps.Clone(p.roots)
	maps.DeleteFunc(roots, func(name, _ string) bool { at, ok := p.aged[name]; return !ok || !at.Before(before) })
	return roots, nil
}

// UnrootBefore implements collect.Roots.
func (p *Packages) UnrootBefore(ctx context.Context, name string, before time.Time) error {
	old, err := p.RootsBefore(ctx, before)
	if _, ok := old[name]; !ok || err != nil {
		return err
	}
	return p.Unroot(ctx, name)
}
