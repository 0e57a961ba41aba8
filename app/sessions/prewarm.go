package sessions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// Prewarms queues durable work in the transaction that asks for it.
type Prewarms interface {
	// EnqueuePrewarm has what sessions of a version start fast from made, soon and
	// in the background.
	EnqueuePrewarm(ctx context.Context, tx records.Tx, version nixspace.ID) error
}

// prewarmHeads is how many environments have their templates looked after when a
// server starts: those that changed last. A host keeps few templates.
const prewarmHeads = 8

// Built queues the template of a version that was built. It is for
// [builds.UseCases.Built].
func (a *UseCases) Built(ctx context.Context, tx records.Tx, version nixspace.ID) error {
	if a.prewarms == nil {
		return nil
	}
	if _, ok := a.machines.(nixspace.Prewarmer); !ok {
		return nil
	}
	return a.prewarms.EnqueuePrewarm(ctx, tx, version)
}

// errYield is the cause when a template is left to be made later.
var errYield = errors.New("a session starts")

// urgency keeps the making of templates out of the way of sessions that start.
type urgency struct {
	mu     sync.Mutex
	urgent int
	yield  map[*context.CancelCauseFunc]bool // ends what is not urgent
}

// urgently begins something urgent.
func (u *urgency) urgently() (end func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.urgent++
	for cancel := range u.yield {
		(*cancel)(errYield)
	}
	return sync.OnceFunc(func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.urgent--
	})
}

// leisurely begins something that ends when anything urgent begins; it returns false
// where there is something.
func (u *urgency) leisurely(ctx context.Context) (_ context.Context, end func(), ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.urgent > 0 {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancelCause(ctx)
	if u.yield == nil {
		u.yield = map[*context.CancelCauseFunc]bool{}
	}
	u.yield[&cancel] = true
	return ctx, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.yield, &cancel)
		cancel(nil)
	}, true
}

func yields() error {
	return nixspace.Errorf(nixspace.KindUnavailable, "prewarm_yields", "a session starts, which comes first")
}

// RunPrewarm makes the template that sessions of a version start from, where the
// version is the head of an environment and built, and there is none that can be
// used. It fails with code "prewarm_yields" when a session starts: that comes first.
func (a *UseCases) RunPrewarm(ctx context.Context, version nixspace.ID) error {
	ctx = nixspace.AsSystem(ctx)
	p, ok := a.machines.(nixspace.Prewarmer)
	if !ok {
		return nil
	}
	calm, end, ok := a.urgency.leisurely(ctx)
	if !ok {
		return yields()
	}
	defer end()
	began := time.Now()
	env, made, err := a.prewarm(calm, p, version)
	switch {
	case err != nil && errors.Is(context.Cause(calm), errYield):
		return yields()
	case err != nil:
		return fmt.Errorf("make the template of version %s: %w", version, err)
	case !made:
		return nil
	}
	return a.records.Store.Read().Events().Append(ctx, &nixspace.Event{
		At: records.Now(), Kind: "environment.prewarmed", ProjectID: env.ProjectID, EnvironmentID: env.ID, Actor: nixspace.SystemActor.Name,
		Message: env.Ref() + ": sessions can start without a boot",
		Data:    map[string]any{"version": version, "seconds": time.Since(began).Seconds()},
	})
}

func (a *UseCases) prewarm(ctx context.Context, p nixspace.Prewarmer, version nixspace.ID) (*nixspace.Environment, bool, error) {
	tx := a.records.Store.Read()
	env, err := headOf(ctx, tx, version)
	if err != nil || env == nil {
		return nil, false, err
	}
	v, err := records.OneVersion(ctx, tx, version)
	if err != nil {
		return nil, false, err
	}
	if _, err := a.builds.Realised(ctx, tx, v); err != nil {
		if records.NotFound(err) {
			return nil, false, nil // its next build says so
		}
		return nil, false, err
	}
	nobody := &nixspace.Session{EnvironmentID: env.ID, EnvironmentVersionID: v.ID, Number: 1, Generation: 1}
	spec, err := a.machineSpec(ctx, tx, nobody, v, nil)
	if err != nil {
		return nil, false, err
	}
	made, err := p.Prewarm(ctx, *spec)
	return env, made, err
}

// headOf returns an environment whose head a version is, or nil.
func headOf(ctx context.Context, tx records.Tx, version nixspace.ID) (*nixspace.Environment, error) {
	all, err := tx.Environments().List(ctx, "")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(e nixspace.Environment) bool { return e.Head == version })
	if i < 0 {
		return nil, nil
	}
	return &all[i], nil
}

// prewarmAgain queues the templates of the environments that changed last: with
// another QEMU, kernel or guest agent than before, those that there are cannot be used.
func (a *UseCases) prewarmAgain(ctx context.Context) error {
	if _, ok := a.machines.(nixspace.Prewarmer); !ok || a.prewarms == nil {
		return nil
	}
	tx := a.records.Store.Read()
	all, err := tx.Environments().List(ctx, "")
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b nixspace.Environment) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
	for _, e := range all[:min(len(all), prewarmHeads)] {
		if err := a.prewarms.EnqueuePrewarm(ctx, tx, e.Head); err != nil {
			return err
		}
	}
	return nil
}
