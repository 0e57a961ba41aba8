package work

import (
	"sync"

	"github.com/nixspace/nixspace"
)

// ProgressHub hands the progress of builds and starting sessions to whoever
// watches. It lives in this process only: another replica sees states and logs,
// which are in the database. It keeps the latest report of each job, so a late
// or slow watcher sees how things stand, and nothing waits for it.
type ProgressHub struct {
	mu     sync.Mutex
	topics map[nixspace.ID]*progressTopic
}

type progressTopic struct {
	latest map[string]nixspace.Progress
	order  []string
	subs   map[*ProgressSub]struct{}
}

// ProgressSub is one watcher. wake (buffered, 1) says that there may be news.
type ProgressSub struct {
	hub     *ProgressHub
	id      nixspace.ID
	Wake    chan struct{}
	pending map[string]nixspace.Progress
	order   []string
}

// maxProgressJobs bounds what is kept of one topic.
const maxProgressJobs = 1000

// NewProgressHub returns a hub without subscribers.
func NewProgressHub() *ProgressHub {
	return &ProgressHub{topics: map[nixspace.ID]*progressTopic{}}
}

func (h *ProgressHub) topic(id nixspace.ID) *progressTopic {
	t := h.topics[id]
	if t == nil {
		t = &progressTopic{latest: map[string]nixspace.Progress{}, subs: map[*ProgressSub]struct{}{}}
		h.topics[id] = t
	}
	return t
}

// Publish tells subscribers of a job how far it is.
func (h *ProgressHub) Publish(id nixspace.ID, p nixspace.Progress) {
	key := p.Job + "\x00" + p.Phase
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topic(id)
	if _, known := t.latest[key]; !known {
		if len(t.order) >= maxProgressJobs {
			return
		}
		t.order = append(t.order, key)
	}
	t.latest[key] = p
	for s := range t.subs {
		s.add(key, p)
	}
}

// Poke wakes the watchers of id without news of progress.
func (h *ProgressHub) Poke(id nixspace.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.topics[id]; t != nil {
		for s := range t.subs {
			s.signal()
		}
	}
}

// Forget drops what is kept of id once its work has ended.
func (h *ProgressHub) Forget(id nixspace.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[id]
	if t == nil {
		return
	}
	if len(t.subs) == 0 {
		delete(h.topics, id)
		return
	}
	clear(t.latest)
	t.order = nil
}

// Subscribe follows a job. Close must be called on the result.
func (h *ProgressHub) Subscribe(id nixspace.ID) *ProgressSub {
	s := &ProgressSub{hub: h, id: id, Wake: make(chan struct{}, 1), pending: map[string]nixspace.Progress{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topic(id)
	t.subs[s] = struct{}{}
	for _, key := range t.order {
		s.add(key, t.latest[key])
	}
	return s
}

func (s *ProgressSub) add(key string, p nixspace.Progress) {
	if _, waiting := s.pending[key]; !waiting {
		s.order = append(s.order, key)
	}
	s.pending[key] = p
	s.signal()
}

func (s *ProgressSub) signal() {
	select {
	case s.Wake <- struct{}{}:
	default:
	}
}

// Take returns what was reported since the last call.
func (s *ProgressSub) Take() []nixspace.Progress {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	ps := make([]nixspace.Progress, 0, len(s.order))
	for _, key := range s.order {
		ps = append(ps, s.pending[key])
	}
	clear(s.pending)
	s.order = nil
	return ps
}

// Close ends the subscription.
func (s *ProgressSub) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	t := s.hub.topics[s.id]
	delete(t.subs, s)
	if len(t.subs) == 0 && len(t.order) == 0 {
		delete(s.hub.topics, s.id)
	}
}
