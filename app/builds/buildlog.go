package builds

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// Limits of a build's log.
const (
	maxLogLine  = 8 << 10 // bytes; longer lines are cut
	maxLogLines = 100_000 // later ones are dropped, and the log says so
	logBatch    = 200     // lines that are stored at once
	logDelay    = 150 * time.Millisecond
)

// buildLog stores the lines of a build's log, in batches, in a goroutine that
// ends with close.
type buildLog struct {
	app   *UseCases
	build nixspace.ID

	mu      sync.Mutex
	next    int64
	pending []nixspace.BuildLogLine
	wake    chan struct{} // buffered, 1: there are lines
	full    chan struct{} // buffered, 1: there is a batch of them
	stop    chan struct{}
	done    chan struct{}
}

// openBuildLog continues the log of a build, which has lines already when an
// earlier run was interrupted.
func (a *UseCases) openBuildLog(ctx context.Context, build nixspace.ID) (*buildLog, error) {
	l := &buildLog{
		app: a, build: build, next: 1,
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	for {
		lines, err := a.records.Store.Read().Builds().Log(ctx, build, l.next-1, logPage)
		if err != nil {
			return nil, err
		}
		l.next += int64(len(lines))
		if len(lines) < logPage {
			break
		}
	}
	go l.run(context.WithoutCancel(ctx))
	return l, nil
}

// line adds one line, or several. It does not block on the database.
func (l *buildLog) line(text string) {
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
		l.pending = append(l.pending, nixspace.BuildLogLine{BuildID: l.build, Seq: l.next, At: at, Text: t})
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

func (l *buildLog) run(ctx context.Context) {
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
		store, cancel := context.WithTimeout(ctx, work.RecordLimit)
		if err := l.flush(store); err != nil {
			l.app.log.Warn("cannot store a build's log", "build", l.build, "error", err)
		}
		cancel()
	}
}

// flush stores what is pending; after a failure it is tried again with the next
// lines.
func (l *buildLog) flush(ctx context.Context) error {
	l.mu.Lock()
	lines := l.pending
	l.pending = nil
	l.mu.Unlock()
	if len(lines) == 0 {
		return nil
	}
	err := l.app.records.Store.Read().Builds().AppendLog(ctx, lines)
	if err != nil {
		l.mu.Lock()
		l.pending = append(lines, l.pending...)
		l.mu.Unlock()
	}
	return err
}

// close stores the rest and ends the goroutine.
func (l *buildLog) close(ctx context.Context) error {
	close(l.stop)
	<-l.done
	return l.flush(ctx)
}
