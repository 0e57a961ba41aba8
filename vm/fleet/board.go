package fleet

import (
	"context"
	"sync"

	"github.com/nixspace/nixspace"
)

// board holds the last status of every session and tells watchers of changes.
type board struct {
	mu       sync.Mutex
	statuses map[nixspace.ID]nixspace.MachineStatus
	watchers map[*boardWatcher]struct{}
	closed   chan struct{}
	once     sync.Once
}

type boardWatcher struct {
	changed map[nixspace.ID]struct{}
	news    chan struct{} // holds one token when something changed
}

func newBoard() *board {
	return &board{
		statuses: make(map[nixspace.ID]nixspace.MachineStatus),
		watchers: make(map[*boardWatcher]struct{}),
		closed:   make(chan struct{}),
	}
}

func (b *board) put(s nixspace.MachineStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.statuses[s.SessionID] = s
	for w := range b.watchers {
		w.changed[s.SessionID] = struct{}{}
		select {
		case w.news <- struct{}{}:
		default:
		}
	}
}

// ended reports whether the last status of a session is final.
func (b *board) ended(id nixspace.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.statuses[id]
	return ok && !s.Status.Live()
}

func (b *board) forget(id nixspace.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.statuses, id)
}

func (b *board) close() { b.once.Do(func() { close(b.closed) }) }

// watch sends the present statuses and every change. The channel is closed when
// ctx ends or the board is closed.
func (b *board) watch(ctx context.Context) <-chan nixspace.MachineStatus {
	w := &boardWatcher{changed: make(map[nixspace.ID]struct{}), news: make(chan struct{}, 1)}
	b.mu.Lock()
	for id := range b.statuses {
		w.changed[id] = struct{}{}
	}
	b.watchers[w] = struct{}{}
	b.mu.Unlock()
	w.news <- struct{}{}
	out := make(chan nixspace.MachineStatus)
	go func() {
		defer close(out)
		defer func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.watchers, w)
		}()
		for {
			select {
			case <-w.news:
			case <-ctx.Done():
				return
			case <-b.closed:
				return
			}
			for _, s := range b.take(w) {
				select {
				case out <- s:
				case <-ctx.Done():
					return
				case <-b.closed:
					return
				}
			}
		}
	}()
	return out
}

func (b *board) take(w *boardWatcher) []nixspace.MachineStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []nixspace.MachineStatus
	for id := range w.changed {
		if s, ok := b.statuses[id]; ok {
			out = append(out, s)
		}
	}
	clear(w.changed)
	return out
}
