package runner

import (
	"slices"
	"sync"

	"github.com/nixspace/nixspace"
)

// Update is one line of a runner's news. Exactly one field is set.
type Update struct {
	Status   *nixspace.MachineStatus `json:"status,omitempty"`
	Progress *nixspace.Progress      `json:"progress,omitempty"`
}

// hub tells watchers what happens. A slow watcher misses progress and
// intermediate states, and never the last state.
type hub struct {
	mu       sync.Mutex
	watchers map[*watcher]struct{}
	last     *nixspace.MachineStatus
	closed   bool
}

// maxPending bounds what waits for a slow watcher.
const maxPending = 256

type watcher struct {
	hub     *hub
	pending []Update
	ended   bool
	news    chan struct{} // holds one token when there is something to take
}

func newHub() *hub { return &hub{watchers: make(map[*watcher]struct{})} }

func (h *hub) publish(u Update) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	if u.Status != nil {
		h.last = u.Status
	}
	for w := range h.watchers {
		w.pending = append(w.pending, u)
		if len(w.pending) > maxPending {
			// Drop the oldest that something later supersedes.
			i := max(0, slices.IndexFunc(w.pending, func(u Update) bool { return u.Progress != nil }))
			w.pending = slices.Delete(w.pending, i, i+1)
		}
		w.wake()
	}
}

// close ends all watchers after what they have pending.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for w := range h.watchers {
		w.ended = true
		w.wake()
	}
}

// watch returns a watcher that first gets the present state.
func (h *hub) watch() *watcher {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := &watcher{hub: h, news: make(chan struct{}, 1), ended: h.closed}
	if h.last != nil {
		w.pending = append(w.pending, Update{Status: h.last})
	}
	w.wake()
	if !h.closed {
		h.watchers[w] = struct{}{}
	}
	return w
}

// wake is called with the hub's lock held.
func (w *watcher) wake() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// take returns what has come, and whether that was the last.
func (w *watcher) take() (updates []Update, ended bool) {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	updates, w.pending = w.pending, nil
	return updates, w.ended
}

func (w *watcher) stop() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	delete(w.hub.watchers, w)
}
