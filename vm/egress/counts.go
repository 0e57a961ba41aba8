package egress

import (
	"log/slog"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// counts is what went through a gateway.
type counts struct {
	mu    sync.Mutex
	open  int
	total nixspace.EgressCount
	hosts map[string]*nixspace.EgressHostStatus
	more  nixspace.EgressCount
	dirty bool
}

// count changes the counts of a host, and says whether it was seen before.
func (c *counts) count(key string, why error, f func(*nixspace.EgressCount)) (seen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
	f(&c.total)
	h := c.hosts[key]
	if h == nil {
		if len(c.hosts) == maxHosts {
			f(&c.more)
			return true
		}
		h = &nixspace.EgressHostStatus{Host: key}
		c.hosts[key] = h
	} else {
		seen = true
	}
	f(&h.EgressCount)
	h.Last = time.Now()
	if why != nil {
		h.LastError = reason(why)
	}
	return seen
}

func (c *counts) refused(key string, why error) {
	c.count(key, why, func(n *nixspace.EgressCount) { n.Refused++ })
}

func (c *counts) failed(key string, why error) {
	c.count(key, why, func(n *nixspace.EgressCount) { n.Failed++ })
}

// opened reports whether the host was not seen before.
func (c *counts) opened(key string) (first bool) {
	seen := c.count(key, nil, func(n *nixspace.EgressCount) { n.Connections++ })
	c.mu.Lock()
	c.open++
	c.mu.Unlock()
	return !seen
}

func (c *counts) closed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	c.dirty = true
}

func (c *counts) sent(key string, n int) {
	c.count(key, nil, func(e *nixspace.EgressCount) { e.Sent += int64(n) })
}

func (c *counts) received(key string, n int) {
	c.count(key, nil, func(e *nixspace.EgressCount) { e.Received += int64(n) })
}

// changed reports whether anything was counted since it was last asked.
func (c *counts) changed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.dirty
	c.dirty = false
	return was
}

func (c *counts) status() nixspace.EgressStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := nixspace.EgressStatus{Open: c.open, EgressCount: c.total, More: c.more}
	for _, h := range c.hosts {
		s.Hosts = append(s.Hosts, *h)
	}
	nixspace.SortEgressHosts(s.Hosts)
	return s
}

// quietLog keeps a guest from filling the host's log.
type quietLog struct {
	log *slog.Logger

	mu     sync.Mutex
	tokens float64
	last   time.Time
	unsaid int
}

// A guest may have so many lines at once, and then one in so long a time.
const (
	logBurst = 50
	logEvery = 10 * time.Second
)

func newQuietLog(log *slog.Logger) *quietLog {
	return &quietLog{log: log, tokens: logBurst, last: time.Now()}
}

func (q *quietLog) say(msg string, args ...any) {
	q.mu.Lock()
	now := time.Now()
	q.tokens = min(logBurst, q.tokens+now.Sub(q.last).Seconds()/logEvery.Seconds())
	q.last = now
	if q.tokens < 1 {
		q.unsaid++
		q.mu.Unlock()
		return
	}
	q.tokens--
	if q.unsaid > 0 {
		args = append(args, "unsaid", q.unsaid)
		q.unsaid = 0
	}
	q.mu.Unlock()
	q.log.Info(msg, args...)
}
