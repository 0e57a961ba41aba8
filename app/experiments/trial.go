package experiments

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/sessions"
	"github.com/nixspace/nixspace/app/work"
	"github.com/nixspace/nixspace/env/results"
)

// Limits of one run.
const (
	defaultTimeout = 30 * time.Minute
	maxTimeout     = 6 * time.Hour
	parseMax       = 8 << 20   // bytes of output that are searched for results
	storeMax       = 256 << 10 // bytes of output that are kept
	artifactMax    = 32 << 20
)

// Report is what the output of a run, and what it left, say.
type Report struct {
	Tests   results.Report   `json:"tests"`
	Numbers []results.Number `json:"numbers"`
}

// trial is one run of a command.
type trial struct {
	key, subject string
	version      *nixspace.Version
	argv         []string
	timeout      time.Duration // that of the experiment when 0
	snapshot     nixspace.ID   // that the machine is a clone of; a fresh machine when empty
}

// worker works on one experiment.
type worker struct {
	u        *UseCases
	e        *nixspace.Experiment
	tx       records.Tx
	patterns []results.Pattern

	mu   sync.Mutex
	done map[string]*nixspace.ExperimentRun // by key, those that need not be made again
}

// settled reports whether making a run again would come to the same.
func settled(r *nixspace.ExperimentRun) bool {
	return r.Status == nixspace.BuildSucceeded || r.Status == nixspace.BuildFailed && strings.HasPrefix(r.ErrorCode, "build_")
}

// try makes a run, unless it was made before. What goes wrong in it is part of the
// run; an error says that ctx ended, or that it could not be recorded.
func (w *worker) try(ctx context.Context, t trial) (*nixspace.ExperimentRun, error) {
	w.mu.Lock()
	old := w.done[t.key]
	w.mu.Unlock()
	if old != nil {
		return old, nil
	}
	r := &nixspace.ExperimentRun{
		ExperimentID: w.e.ID, Subject: t.subject, Key: t.key, VersionID: t.version.ID, VersionHash: t.version.VersionHash,
		Status: nixspace.BuildRunning, StartedAt: records.Now(),
	}
	if err := w.put(ctx, r); err != nil {
		return nil, err
	}
	w.u.live.begin(w.e.ID, t.key, t.subject)
	err := w.inMachine(ctx, t, func(s *nixspace.Session) error { return w.command(ctx, t, s, r) })
	r.FinishedAt = records.Now()
	if err != nil {
		r.Status = nixspace.BuildFailed
		if r.Error, r.ErrorCode = work.Explain(w.u.cfg.Log, "a run of an experiment failed", err); ctx.Err() != nil {
			r.Status, r.Error, r.ErrorCode = nixspace.BuildCanceled, "interrupted", "canceled"
		}
		r.Error, r.ErrorCode = records.CleanText(r.Error), records.CleanText(r.ErrorCode)
	} else {
		r.Status = nixspace.BuildSucceeded
	}
	if err := w.put(context.WithoutCancel(ctx), r); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r.Artifact = nil // it is stored, and may be large
	w.mu.Lock()
	w.done[t.key] = r
	w.mu.Unlock()
	return r, nil
}

// put stores a run; one at a time, since they are numbered.
func (w *worker) put(ctx context.Context, r *nixspace.ExperimentRun) error {
	ctx, cancel := context.WithTimeout(ctx, work.RecordLimit)
	defer cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tx.ExperimentRuns().Put(ctx, r)
}

// inMachine runs fn in a machine of a trial's version, of which nothing is left
// afterwards.
func (w *worker) inMachine(ctx context.Context, t trial, fn func(*nixspace.Session) error) (err error) {
	id := nixspace.NewID()
	if err := w.tx.ExperimentRuns().Hold(ctx, w.e.ID, id); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.discard(ctx, id)) }()
	var s *nixspace.Session
	if t.snapshot != "" {
		s, err = w.u.cfg.Sessions.RestoreSnapshot(ctx, sessions.RestoreSnapshot{Ref: string(t.snapshot), Throwaway: true, ID: id})
	} else {
		s, err = w.u.cfg.Sessions.StartSession(ctx, sessions.StartSession{Ref: t.version.VersionHash, Ephemeral: true, ID: id})
	}
	if err != nil {
		return err
	}
	if s, err = w.await(ctx, s); err != nil {
		return err
	}
	return fn(s)
}

// discard takes a session away that was noted.
func (w *worker) discard(ctx context.Context, id nixspace.ID) error {
	if err := w.u.cfg.Sessions.Discard(ctx, id); err != nil {
		return fmt.Errorf("end a machine of an experiment: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), work.RecordLimit)
	defer cancel()
	return w.tx.ExperimentRuns().Release(ctx, w.e.ID, id)
}

// await waits until a session runs.
func (w *worker) await(ctx context.Context, s *nixspace.Session) (*nixspace.Session, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	updates, err := w.u.cfg.Sessions.WatchSession(ctx, string(s.ID))
	if err != nil {
		return nil, err
	}
	last := *s
	for n := range updates {
		if last = n.Session; last.Status != nixspace.SessionCreating {
			break
		}
	}
	if last.Status == nixspace.SessionRunning {
		return &last, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	kind := nixspace.KindUnavailable
	if strings.HasPrefix(last.ReasonCode, "build_") {
		kind = nixspace.KindBuild
	}
	return nil, nixspace.Errorf(kind, cmp.Or(last.ReasonCode, "start_failed"), "its machine did not start: %s", cmp.Or(last.Reason, string(last.Status)))
}

// command runs a trial's command in a session.
func (w *worker) command(ctx context.Context, t trial, s *nixspace.Session, r *nixspace.ExperimentRun) error {
	m, err := w.u.cfg.Sessions.Machine(ctx, string(s.ID))
	if err != nil {
		return err
	}
	code, usage, out, err := w.exec(ctx, m, t)
	if err != nil {
		return err
	}
	r.ExitCode, r.Usage = &code, usage
	artifact, err := w.artifacts(ctx, m)
	if err != nil {
		return err
	}
	report := w.read(out[0].buf, artifact)
	if r.Report, err = json.Marshal(report); err != nil {
		return fmt.Errorf("encode the results of a run: %w", err)
	}
	r.Artifact, r.HasArtifact = artifact, artifact != nil
	for i, to := range []*string{&r.Stdout, &r.Stderr} {
		b := out[i].buf
		if len(b) > storeMax {
			b = b[len(b)-storeMax:]
		}
		*to = clean(b)
		r.Truncated = r.Truncated || out[i].written > int64(len(b))
	}
	return nil
}

// exec runs a command to its end, with its output kept.
func (w *worker) exec(ctx context.Context, m nixspace.Machine, t trial) (code int, usage *nixspace.Usage, out [2]tail, err error) {
	limit := defaultTimeout
	if n := w.e.Spec.Timeout; n > 0 {
		limit = time.Duration(n) * time.Second
	}
	if t.timeout > 0 {
		limit = t.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out = [2]tail{{max: parseMax}, {max: storeMax}}
	p, err := m.Exec(ctx, nixspace.Command{Argv: t.argv, Env: w.e.Spec.Env, Dir: w.e.Spec.Dir, Usage: true})
	if err != nil {
		return 0, nil, out, err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.Close() })
	defer func() {
		stop()
		_ = p.Close()
	}()
	_ = p.Stdin().Close()
	var readers sync.WaitGroup
	for i, from := range []io.Reader{p.Stdout(), p.Stderr()} {
		readers.Go(func() {
			buf := make([]byte, 32<<10)
			for {
				n, err := from.Read(buf)
				out[i].write(buf[:n])
				w.u.live.write(w.e.ID, t.key, i, buf[:n])
				if err != nil {
					return
				}
			}
		})
	}
	readers.Wait()
	code, err = p.Wait()
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = nixspace.Errorf(nixspace.KindLimit, "run_timeout", "the command did not end within %s", limit).
				WithHint("give it more time with --timeout")
		}
		return 0, nil, out, err
	}
	if u, ok := p.(nixspace.UsageReporter); ok {
		usage = u.Usage()
	}
	return code, usage, out, nil
}

// read looks for results in what a command printed and left.
func (w *worker) read(stdout, artifact []byte) Report {
	rep := Report{Tests: results.Tests(stdout), Numbers: results.Numbers(stdout, w.patterns)}
	if rep.Tests.Format != "" || artifact == nil {
		return rep
	}
	files := tar.NewReader(bytes.NewReader(artifact))
	for {
		h, err := files.Next()
		if err != nil {
			return rep
		}
		if ext := path.Ext(h.Name); h.Typeflag != tar.TypeReg || ext != ".xml" && ext != ".json" && ext != ".tap" && ext != ".jsonl" || h.Size > parseMax {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(files, parseMax))
		if err != nil {
			return rep
		}
		if rep.Tests = results.Tests(b); rep.Tests.Format != "" {
			return rep
		}
	}
}

// artifacts reads what a run should leave into one archive. A path that does not
// exist is left out: a command that fails often leaves nothing.
func (w *worker) artifacts(ctx context.Context, m nixspace.Machine) ([]byte, error) {
	files, ok := m.(nixspace.Files)
	if len(w.e.Spec.Artifacts) == 0 || !ok {
		return nil, nil
	}
	var b bytes.Buffer
	to := tar.NewWriter(&b)
	any := false
	for _, name := range w.e.Spec.Artifacts {
		if !path.IsAbs(name) {
			name = path.Join("/workspace", name)
		}
		from, err := files.ReadFiles(ctx, name)
		if records.NotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = copyTar(to, from, &b)
		_ = from.Close()
		if err != nil {
			return nil, err
		}
		any = true
	}
	if err := to.Close(); err != nil || !any {
		return nil, err
	}
	return b.Bytes(), nil
}

// copyTar appends one archive to another.
func copyTar(to *tar.Writer, r io.Reader, size *bytes.Buffer) error {
	from := tar.NewReader(r)
	for {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read artefacts: %w", err)
		}
		if int64(size.Len())+h.Size > artifactMax {
			return nixspace.Errorf(nixspace.KindLimit, "artifacts_too_large", "the artefacts of a run are larger than %d MiB", artifactMax>>20).
				WithHint("name fewer or smaller files with --artifacts")
		}
		if err := to.WriteHeader(h); err != nil {
			return fmt.Errorf("write artefacts: %w", err)
		}
		if _, err := io.Copy(to, from); err != nil { //nolint:gosec // bounded above
			return fmt.Errorf("copy artefacts: %w", err)
		}
	}
}

// clean makes output such that PostgreSQL and people can have it.
func clean(b []byte) string {
	return strings.ToValidUTF8(strings.ReplaceAll(string(b), "\x00", ""), "\uFFFD")
}
