package experiments

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// Update is one piece of news about an experiment. Exactly one field is set.
type Update struct {
	Experiment *nixspace.Experiment
	Run        *nixspace.ExperimentRun // without its output
	Output     *Output
}

// Output is something that the command of a run printed.
type Output struct {
	Key     string // of the run
	Subject string
	Stderr  bool
	Text    string
}

// outputMax is how much output of a stream is kept for those who come late.
const outputMax = 256 << 10

// live holds what the commands of experiments print while they run.
type live struct {
	mu sync.Mutex
	m  map[nixspace.ID]map[string]*liveRun
}

type liveRun struct {
	subject string
	out     [2]tail
}

func newLive() *live { return &live{m: map[nixspace.ID]map[string]*liveRun{}} }

func (l *live) begin(e nixspace.ID, key, subject string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m[e] == nil {
		l.m[e] = map[string]*liveRun{}
	}
	l.m[e][key] = &liveRun{subject: subject, out: [2]tail{{max: outputMax}, {max: outputMax}}}
}

func (l *live) write(e nixspace.ID, key string, stream int, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.m[e][key]; r != nil {
		r.out[stream].write(b)
	}
}

func (l *live) forget(e nixspace.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.m, e)
}

// since returns what was printed after the offsets in seen, and moves these.
func (l *live) since(e nixspace.ID, seen map[string]*[2]int64) []Output {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Output
	for key, r := range l.m[e] {
		if seen[key] == nil {
			seen[key] = &[2]int64{}
		}
		for i := range r.out {
			if text := r.out[i].after(seen[key][i]); len(text) > 0 {
				out = append(out, Output{Key: key, Subject: r.subject, Stderr: i == 1, Text: clean(text)})
			}
			seen[key][i] = r.out[i].written
		}
	}
	return out
}

// tail keeps the end of what is written to it.
type tail struct {
	max     int
	buf     []byte
	written int64
}

func (t *tail) write(b []byte) {
	t.written += int64(len(b))
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - t.max; over > t.max/4 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
}

// after returns what was written after an offset, as far as it is kept.
func (t *tail) after(offset int64) []byte {
	n := min(t.written-offset, int64(len(t.buf)), int64(t.max))
	return t.buf[int64(len(t.buf))-n:]
}

// lookEvery is how often output is passed on.
const lookEvery = 150 * time.Millisecond

// WatchExperiment sends an experiment, its runs and what their commands print, as
// they stand and whenever they change, until the experiment has ended or ctx does;
// the channel is then closed.
func (u *UseCases) WatchExperiment(ctx context.Context, ref string) (<-chan Update, error) {
	tx, e, err := u.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	notices, err := u.cfg.Records.Store.Subscribe(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	w := &watch{u: u, tx: tx, id: e.ID, out: make(chan Update), runs: map[string]nixspace.ExperimentRun{}, seen: map[string]*[2]int64{}}
	go func() {
		defer close(w.out)
		defer cancel()
		w.follow(ctx, notices)
	}()
	return w.out, nil
}

type watch struct {
	u    *UseCases
	tx   records.Tx
	id   nixspace.ID
	out  chan Update
	last *nixspace.Experiment
	runs map[string]nixspace.ExperimentRun
	seen map[string]*[2]int64
}

func (w *watch) follow(ctx context.Context, notices <-chan nixspace.Notice) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	changed := true
	for {
		if changed {
			e, err := w.tx.Experiments().ByID(ctx, w.id)
			if err != nil {
				return
			}
			if !w.news(ctx, e) || e.Status.Final() {
				return
			}
			changed = false
		} else if !w.output(ctx) {
			return
		}
		select {
		case n, open := <-notices:
			if !open {
				return
			}
			changed = n.Topic == nixspace.NoticeResync || n == (nixspace.Notice{Topic: nixspace.NoticeExperiment, ID: w.id})
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// news sends what changed: output before the runs that ended with it, and the
// experiment last.
func (w *watch) news(ctx context.Context, e *nixspace.Experiment) bool {
	runs, err := w.tx.ExperimentRuns().List(ctx, w.id, false)
	if err != nil || !w.output(ctx) {
		return false
	}
	for _, r := range runs {
		if old, known := w.runs[r.Key]; known && reflect.DeepEqual(old, r) {
			continue
		}
		w.runs[r.Key] = r
		if !w.send(ctx, Update{Run: &r}) {
			return false
		}
	}
	if reflect.DeepEqual(w.last, e) {
		return true
	}
	w.last = e
	return w.send(ctx, Update{Experiment: e})
}

func (w *watch) output(ctx context.Context) bool {
	for _, o := range w.u.live.since(w.id, w.seen) {
		if !w.send(ctx, Update{Output: &o}) {
			return false
		}
	}
	return true
}

func (w *watch) send(ctx context.Context, n Update) bool {
	select {
	case w.out <- n:
		return true
	case <-ctx.Done():
		return false
	}
}
