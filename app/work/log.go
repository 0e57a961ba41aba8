package work

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// LogPage is how many lines of a log are read at a time.
const LogPage = 1000

// Limits of a log.
const (
	maxLogLine  = 8 << 10 // bytes; longer lines are cut
	maxLogLines = 100_000 // later ones are dropped, and the log says so
	logBatch    = 200     // lines that are stored at once
	logDelay    = 150 * time.Millisecond
)

// Log stores the lines that a build or a prebuild prints, in batches, in a goroutine
// that ends with close.
type Log struct {
	store nixspace.LogStore
	id    nixspace.ID
	log   *slog.Logger

	mu      sync.Mutex
	next    int64
	pending []nixspace.BuildLogLine
	wake    chan struct{} // buffered, 1: there are lines
	full    chan struct{} // buffered, 1: there is a batch of them
	stop    chan struct{}
	done    chan struct{}
}

// Logged does work that has a log, which gets what the work fails with, too, unless
// ctx has ended.
func Logged(ctx context.Context, store nixspace.LogStore, id nixspace.ID, log *slog.Logger, do func(*Log) error) error {
	l, err := openLog(ctx, store, id, log)
	if err != nil {
		return err
	}
	err = do(l)
	if err != nil && ctx.Err() == nil {
		text, _, _ := explain(err)
		l.Line(text)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), RecordLimit)
	defer cancel()
	if err := l.close(ctx); err != nil {
		log.Warn("cannot store a log", "id", id, "error", err)
	}
	return err
}

// openLog continues the log of what has this ID, which has lines already when an
// earlier run was interrupted.
func openLog(ctx context.Context, store nixspace.LogStore, id nixspace.ID, log *slog.Logger) (*Log, error) {
	l := &Log{
		store: store, id: id, log: log, next: 1,
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	for {
		lines, err := store.Log(ctx, id, l.next-1, LogPage)
		if err != nil {
			return nil, err
		}
		l.next += int64(len(lines))
		if len(lines) < LogPage {
			break
		}
	}
	go l.run(context.WithoutCancel(ctx))
	return l, nil
}

// Line adds one line, or several. It does not block on the database.
func (l *Log) Line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := records.Now()
	for t := range strings.Lines(text) {
		if l.next > maxLogLines {
			return
		}
		t = strings.ToValidUTF8(strings.ReplaceAll(strings.TrimRight(t, "\r\n"), "\x00", ""), "\uFFFD")
		if len(t) > maxLogLine {
			t = strings.ToValidUTF8(t[:maxLogLine], "") + " […]"
		}
		if l.next == maxLogLines {
			t = "[the log is too long: the rest is not kept]"
		}
		l.pending = append(l.pending, nixspace.BuildLogLine{BuildID: l.id, Seq: l.next, At: at, Text: t})
		l.next++
	}
	signal(l.wake)
	if len(l.pending) >= logBatch {
		signal(l.full)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *Log) run(ctx context.Context) {
	defer close(l.done)
	for {
		select {
		case <-l.wake:
		case <-l.stop:
			return
		}
		delay := time.NewTimer(logDelay)
		select {
		case <-delay.C:
		case <-l.full:
		case <-l.stop:
			delay.Stop()
			return
		}
		delay.Stop()
		store, cancel := context.WithTimeout(ctx, RecordLimit)
		if err := l.flush(store); err != nil {
			l.log.Warn("cannot store a log", "of", l.id, "error", err)
		}
		cancel()
	}
}

// flush stores what is pending; after a failure it is tried again with the next
// lines.
func (l *Log) flush(ctx context.Context) error {
	l.mu.Lock()
	lines := l.pending
	l.pending = nil
	l.mu.Unlock()
	if len(lines) == 0 {
		return nil
	}
	err := l.store.AppendLog(ctx, lines)
	if err != nil {
		l.mu.Lock()
		l.pending = append(lines, l.pending...)
		l.mu.Unlock()
	}
	return err
}

// close stores the rest and ends the goroutine.
func (l *Log) close(ctx context.Context) error {
	close(l.stop)
	<-l.done
	return l.flush(ctx)
}
