package apptest

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// Commands plays the commands of machines: it returns what one prints, its exit code
// and how long it took. Its context ends when the command is ended.
type Commands func(ctx context.Context, m nixspace.MachineSpec, c nixspace.Command) (stdout string, code int, took time.Duration)

// Play makes every command of every machine one of f.
func (h *Machines) Play(f Commands) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commands = f
}

// command is a command that f plays.
type command struct {
	stdout io.Reader
	stop   context.CancelFunc
	done   chan struct{}
	code   int
	took   time.Duration
	err    error
}

func startCommand(f Commands, m nixspace.MachineSpec, c nixspace.Command) nixspace.Process {
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	p := &command{stdout: r, stop: sync.OnceFunc(cancel), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		var text string
		text, p.code, p.took = f(ctx, m, c)
		if ctx.Err() != nil {
			p.err = nixspace.Errorf(nixspace.KindUnavailable, "connection_lost", "the command was ended")
			w.CloseWithError(p.err)
			return
		}
		_, _ = io.WriteString(w, text)
		w.Close()
	}()
	return p
}

type noInput struct{}

func (noInput) Write(b []byte) (int, error) { return len(b), nil }
func (noInput) Close() error                { return nil }

func (p *command) Stdin() io.WriteCloser       { return noInput{} }
func (p *command) Stdout() io.Reader           { return p.stdout }
func (p *command) Stderr() io.Reader           { return strings.NewReader("") }
func (p *command) Resize(uint16, uint16) error { return nil }
func (p *command) Signal(string) error         { return nil }
func (p *command) Wait() (int, error)          { <-p.done; return p.code, p.err }
func (p *command) Usage() *nixspace.Usage      { return &nixspace.Usage{Wall: p.took, Memory: 1 << 20} }

func (p *command) Close() error {
	p.stop()
	p.stdout.(io.Closer).Close()
	<-p.done
	return nil
}

// Experiments is the part of the queue that is for experiments.
func (j *Jobs) Experiments() *ExperimentJobs { return &j.experiments }

// ExperimentJobs remembers the experiments that were queued.
type ExperimentJobs struct {
	mu       sync.Mutex
	queued   []nixspace.ID
	canceled []nixspace.ID
}

// EnqueueExperiment implements experiments.Jobs.
func (j *ExperimentJobs) EnqueueExperiment(_ context.Context, _ records.Tx, id nixspace.ID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.queued = append(j.queued, id)
	return nil
}

// CancelExperiment implements experiments.Jobs.
func (j *ExperimentJobs) CancelExperiment(_ context.Context, id nixspace.ID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.canceled = append(j.canceled, id)
	return nil
}

// Take returns the experiments that are queued, and empties the queue.
func (j *ExperimentJobs) Take() []nixspace.ID {
	j.mu.Lock()
	defer j.mu.Unlock()
	q := j.queued
	j.queued = nil
	return q
}
