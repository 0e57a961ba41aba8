package postgres

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"github.com/nixspace/nixspace"
)

// channels are the channels that the migrations' triggers notify.
var channels = map[string]nixspace.NoticeTopic{
	"nixspace_event":      nixspace.NoticeEvent,
	"nixspace_build":      nixspace.NoticeBuild,
	"nixspace_session":    nixspace.NoticeSession,
	"nixspace_fetch":      nixspace.NoticeFetch,
	"nixspace_prebuild":   nixspace.NoticePrebuild,
	"nixspace_experiment": nixspace.NoticeExperiment,
	"nixspace_access":     nixspace.NoticeAccess,
}

// noticeHub hands what one listening connection hears to many subscribers. The
// connection is opened with the first subscription and kept until close.
type noticeHub struct {
	cfg *pgx.ConnConfig
	log *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
	done   chan struct{} // closed when the listener ended
	ready  chan struct{} // closed once it listens for the first time

	mu   sync.Mutex
	subs map[*subscriber]struct{}
}

func newNoticeHub(cfg *pgx.ConnConfig, log *slog.Logger) *noticeHub {
	ctx, cancel := context.WithCancel(context.Background())
	return &noticeHub{
		cfg: cfg, log: log, ctx: ctx, cancel: cancel,
		done: make(chan struct{}), ready: make(chan struct{}), subs: map[*subscriber]struct{}{},
	}
}

func (h *noticeHub) close() {
	h.cancel()
	h.once.Do(func() { close(h.done) })
	<-h.done
}

// subscriber holds notices until its reader takes them, each once, so that a
// slow reader costs no more than one entry for each thing that changed.
type subscriber struct {
	mu      sync.Mutex
	pending map[nixspace.Notice]struct{}
	order   []nixspace.Notice
	wake    chan struct{} // buffered, 1
}

func (s *subscriber) add(n nixspace.Notice) {
	s.mu.Lock()
	if _, waiting := s.pending[n]; !waiting {
		s.pending[n] = struct{}{}
		s.order = append(s.order, n)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscriber) take() []nixspace.Notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.order
	s.order = nil
	clear(s.pending)
	return taken
}

func (h *noticeHub) subscribe(ctx context.Context) (<-chan nixspace.Notice, error) {
	h.once.Do(func() { go h.listen() })
	select {
	case <-h.ready:
	case <-h.done:
		return nil, unavailable(errors.New("the database was closed"))
	case <-ctx.Done():
		return nil, mapError(ctx.Err(), "subscribe")
	}
	s := &subscriber{pending: map[nixspace.Notice]struct{}{}, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	h.subs[s] = struct{}{}
	h.mu.Unlock()

	out := make(chan nixspace.Notice)
	go func() {
		defer close(out)
		defer func() {
			h.mu.Lock()
			delete(h.subs, s)
			h.mu.Unlock()
		}()
		for {
			select {
			case <-s.wake:
			case <-ctx.Done():
				return
			case <-h.ctx.Done():
				return
			}
			for _, n := range s.take() {
				select {
				case out <- n:
				case <-ctx.Done():
					return
				case <-h.ctx.Done():
					return
				}
			}
		}
	}()
	return out, nil
}

func (h *noticeHub) publish(n nixspace.Notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		s.add(n)
	}
}

// listen keeps a connection that listens until the hub is closed. After a lost
// one it tells all subscribers to read everything again.
func (h *noticeHub) listen() {
	defer close(h.done)
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 50*time.Millisecond, 5*time.Second
	for first := true; ; {
		err := h.hear(func() {
			wait.Reset()
			if first {
				first = false
				close(h.ready)
				return
			}
			h.publish(nixspace.Notice{Topic: nixspace.NoticeResync})
		})
		if h.ctx.Err() != nil {
			return
		}
		h.log.Warn("lost the database's notifications; connecting again", "error", err)
		select {
		case <-time.After(wait.NextBackOff()):
		case <-h.ctx.Done():
			return
		}
	}
}

// hear listens on one connection until it fails.
func (h *noticeHub) hear(listening func()) error {
	conn, err := pgx.ConnectConfig(h.ctx, h.cfg)
	if err != nil {
		return err
	}
	defer func() {
		// A context of its own: h.ctx is over when the hub is closed.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	for channel := range channels {
		if _, err := conn.Exec(h.ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return err
		}
	}
	listening()
	for {
		n, err := conn.WaitForNotification(h.ctx)
		if err != nil {
			return err
		}
		h.publish(nixspace.Notice{Topic: channels[n.Channel], ID: nixspace.ID(n.Payload)})
	}
}
