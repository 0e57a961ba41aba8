package sessions

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// gates let one at a time change what a session's machine is: start it, hibernate
// it, copy it, end it. Whoever comes in reads the session again.
type gates struct {
	mu sync.Mutex
	m  map[nixspace.ID]*gate
}

type gate struct {
	free  chan struct{} // holds one token
	users int
}

func newGates() *gates { return &gates{m: map[nixspace.ID]*gate{}} }

// enter waits until nobody else is in, or ctx ends.
func (g *gates) enter(ctx context.Context, id nixspace.ID) (leave func(), err error) {
	g.mu.Lock()
	one := g.m[id]
	if one == nil {
		one = &gate{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		g.m[id] = one
	}
	one.users++
	g.mu.Unlock()
	done := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(g.m, id)
		}
	}
	select {
	case <-one.free:
		return func() {
			one.free <- struct{}{}
			done()
		}, nil
	case <-ctx.Done():
		done()
		return nil, nixspace.Errorf(nixspace.KindCanceled, "canceled", "nobody waits any more: %w", ctx.Err())
	}
}

// activity knows who works in which session: commands and terminals that run,
// and connections that are open. It is about this process; what it has seen is
// stored as the session's last activity.
type activity struct {
	mu sync.Mutex
	m  map[nixspace.ID]*use
}

type use struct {
	open  int
	last  time.Time
	kinds map[nixspace.ActivityKind]*nixspace.Activity
}

func newActivity() *activity { return &activity{m: map[nixspace.ID]*use{}} }

// begin counts something that is open, until end is called.
func (a *activity) begin(id nixspace.ID, kind nixspace.ActivityKind) (end func()) {
	a.add(id, kind, 1)
	return sync.OnceFunc(func() { a.add(id, kind, -1) })
}

// touch counts something that is over already; it has no kind where it is no work.
func (a *activity) touch(id nixspace.ID, kind nixspace.ActivityKind) { a.add(id, kind, 0) }

func (a *activity) add(id nixspace.ID, kind nixspace.ActivityKind, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.m[id]
	if u == nil {
		u = &use{kinds: map[nixspace.ActivityKind]*nixspace.Activity{}}
		a.m[id] = u
	}
	u.open += n
	u.last = time.Now()
	if kind == "" {
		return
	}
	k := u.kinds[kind]
	if k == nil {
		k = &nixspace.Activity{Kind: kind}
		u.kinds[kind] = k
	}
	k.Open += n
	k.Last = u.last
}

// get returns how many things are open, and when there was anything last.
func (a *activity) get(id nixspace.ID) (open int, last time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if u := a.m[id]; u != nil {
		return u.open, u.last
	}
	return 0, time.Time{}
}

// list returns what was done, the last first.
func (a *activity) list(id nixspace.ID) []nixspace.Activity {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := []nixspace.Activity{}
	if u := a.m[id]; u != nil {
		for _, k := range u.kinds {
			out = append(out, *k)
		}
	}
	slices.SortFunc(out, func(a, b nixspace.Activity) int { return b.Last.Compare(a.Last) })
	return out
}

// lastKind returns what was done last, if anything.
func (a *activity) lastKind(id nixspace.ID) nixspace.ActivityKind {
	if all := a.list(id); len(all) > 0 {
		return all[0].Kind
	}
	return ""
}

func (a *activity) forget(id nixspace.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if u := a.m[id]; u != nil && u.open == 0 {
		delete(a.m, id)
	}
}

// activeMachine counts what is done in a machine. Reading a log is no work in it.
type activeMachine struct {
	nixspace.Machine
	id       nixspace.ID
	activity *activity
	lender   Lender // nil where nothing is lent
}

// Lender makes a machine ready for the work of a context's actor, and returns the
// variables that what the actor starts there must have, and what is to be called when
// that has ended.
type Lender interface {
	Lend(ctx context.Context, session nixspace.ID, m nixspace.Machine) (env map[string]string, release func())
}

// begin counts something that is started in the machine, until end is called, and
// gives it what the actor lends.
func (m activeMachine) begin(ctx context.Context, kind nixspace.ActivityKind, c nixspace.Command) (nixspace.Command, func()) {
	end := m.activity.begin(m.id, kind)
	if m.lender == nil {
		return c, end
	}
	env, release := m.lender.Lend(ctx, m.id, m.Machine)
	if len(env) > 0 {
		maps.Copy(env, c.Env) // what was asked for goes first
		c.Env = env
	}
	return c, func() { end(); release() }
}

// Exec implements nixspace.Machine.
func (m activeMachine) Exec(ctx context.Context, c nixspace.Command) (nixspace.Process, error) {
	c, end := m.begin(ctx, nixspace.ActivityCommand, c)
	p, err := m.Machine.Exec(ctx, c)
	if err != nil {
		end()
		return nil, err
	}
	return activeProcess{p, end}, nil
}

// Dial implements nixspace.Machine.
func (m activeMachine) Dial(ctx context.Context, port int) (net.Conn, error) {
	end := m.activity.begin(m.id, nixspace.ActivityConnection)
	c, err := m.Machine.Dial(ctx, port)
	if err != nil {
		end()
		return nil, err
	}
	return activeConn{c, end}, nil
}

type activeProcess struct {
	nixspace.Process
	end func()
}

// Wait implements nixspace.Process.
func (p activeProcess) Wait() (int, error) {
	defer p.end()
	return p.Process.Wait()
}

// Usage implements nixspace.UsageReporter.
func (p activeProcess) Usage() *nixspace.Usage {
	if r, ok := p.Process.(nixspace.UsageReporter); ok {
		return r.Usage()
	}
	return nil
}

// Close implements nixspace.Process.
func (p activeProcess) Close() error {
	defer p.end()
	return p.Process.Close()
}

type activeConn struct {
	net.Conn
	end func()
}

// Close implements net.Conn.
func (c activeConn) Close() error {
	defer c.end()
	return c.Conn.Close()
}

// CloseWrite ends this side of the connection, where it can be ended alone.
func (c activeConn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}
