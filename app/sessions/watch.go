package sessions

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// WatchSession sends the session and its machine's status whenever either
// changes, at first as they are, until ctx ends or the session is removed; the
// channel is then closed.
func (a *UseCases) WatchSession(ctx context.Context, ref string) (<-chan nixspace.SessionUpdate, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	notices, err := a.records.Store.Subscribe(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	s, err := records.FindSession(ctx, tx, ref)
	if err != nil {
		cancel()
		return nil, err
	}
	w := &sessionWatch{app: a, out: make(chan nixspace.SessionUpdate), progress: a.progress.Subscribe(s.ID)}
	go func() {
		defer close(w.out)
		defer cancel()
		defer w.progress.Close()
		for w.send(ctx, s, nil) && w.wait(ctx, s, notices) {
			next, err := tx.Sessions().ByID(ctx, s.ID)
			if err != nil {
				if ctx.Err() == nil && !records.NotFound(err) {
					a.log.Warn("cannot follow a session", "session", s.ID, "error", err)
				}
				return
			}
			s = next
		}
	}()
	return w.out, nil
}

type sessionWatch struct {
	app      *UseCases
	out      chan nixspace.SessionUpdate
	progress *work.ProgressSub
	last     nixspace.SessionUpdate
}

// send sends an update unless it says nothing new.
func (w *sessionWatch) send(ctx context.Context, s *nixspace.Session, p *nixspace.Progress) bool {
	u := nixspace.SessionUpdate{Session: *s, Machine: w.app.reports.get(s.ID), Progress: p}
	if reflect.DeepEqual(u, w.last) {
		return true
	}
	select {
	case w.out <- u:
		w.last = u
		return true
	case <-ctx.Done():
		return false
	}
}

// wait passes progress and the machine's status on until something changed in
// the database.
func (w *sessionWatch) wait(ctx context.Context, s *nixspace.Session, notices <-chan nixspace.Notice) bool {
	for {
		select {
		case n, open := <-notices:
			if !open {
				return false
			}
			if n.Topic == nixspace.NoticeResync || n == (nixspace.Notice{Topic: nixspace.NoticeSession, ID: s.ID}) {
				return true
			}
		case <-w.progress.Wake:
			news := w.progress.Take()
			for _, p := range news {
				if !w.send(ctx, s, &p) {
					return false
				}
			}
			if len(news) == 0 && !w.send(ctx, s, nil) {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}

// machineTable holds what runners said last of the machines on this host.
type machineTable struct {
	mu      sync.Mutex
	status  map[nixspace.ID]nixspace.MachineStatus
	touched map[nixspace.ID]time.Time
	egress  nixspace.EgressCount // of all machines, since this process began
}

func newMachineTable() *machineTable {
	return &machineTable{status: map[nixspace.ID]nixspace.MachineStatus{}, touched: map[nixspace.ID]time.Time{}}
}

// put keeps a report unless it is of an older generation, or of a machine that is
// known to have ended.
func (t *machineTable) put(s nixspace.MachineStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.status[s.SessionID]
	if s.Generation < last.Generation || s.Generation == last.Generation && hasEnded(last.Status) && !hasEnded(s.Status) {
		return
	}
	if s.Egress != nil {
		t.egress.Add(s.Egress.EgressCount)
		if last.Egress != nil && last.Generation == s.Generation {
			n := last.Egress.EgressCount
			t.egress.Add(nixspace.EgressCount{Connections: -n.Connections, Refused: -n.Refused, Failed: -n.Failed, Sent: -n.Sent, Received: -n.Received})
		}
	}
	t.status[s.SessionID] = s
}

// EgressTotals counts what went out of all sessions since the server began to
// watch them.
func (a *UseCases) EgressTotals() nixspace.EgressCount {
	a.reports.mu.Lock()
	defer a.reports.mu.Unlock()
	return a.reports.egress
}

// hasEnded reports whether nothing follows a state by itself.
func hasEnded(s nixspace.SessionStatus) bool {
	return s == nixspace.SessionStopped || s == nixspace.SessionFailed || s == nixspace.SessionHibernated
}

func (t *machineTable) get(id nixspace.ID) *nixspace.MachineStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.status[id]
	if !ok {
		return nil
	}
	return &s
}

func (t *machineTable) forget(id nixspace.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.status, id)
	delete(t.touched, id)
}

// touch reports whether activity at a time is to be stored: at most once in
// every.
func (t *machineTable) touch(id nixspace.ID, at time.Time, every time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at.Sub(t.touched[id]) < every {
		return false
	}
	t.touched[id] = at
	return true
}
