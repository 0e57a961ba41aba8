package sessions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// MigrateData asks for the data of one session's PostgreSQL in another one's.
type MigrateData struct {
	From, To string // sessions; both are resumed if they are hibernated
}

// DataMigration is what was carried over.
type DataMigration struct {
	From, To  *nixspace.Session
	Databases []string
	Tables    int
	Rows      int64
	Bytes     int64 // of SQL
}

// MigrateData dumps every database of one session and reads it into another one,
// which may run any later major version of PostgreSQL. The SQL streams through
// this process and is kept nowhere. Afterwards the rows of every table are
// counted on both sides. The target's databases must hold no tables of their own;
// each database is carried over wholly or not at all.
func (a *UseCases) MigrateData(ctx context.Context, in MigrateData) (*DataMigration, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	out := &DataMigration{}
	if out.From, err = records.FindSession(ctx, tx, in.From); err != nil {
		return nil, err
	}
	if out.To, err = records.FindSession(ctx, tx, in.To); err != nil {
		return nil, err
	}
	if out.From.ID == out.To.ID {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "migration_invalid", "the data of session %s is there already", out.To.Ref())
	}
	from, err := a.Machine(ctx, string(out.From.ID))
	if err != nil {
		return nil, err
	}
	to, err := a.Machine(ctx, string(out.To.ID))
	if err != nil {
		return nil, err
	}
	source, target := database{from, out.From.Ref()}, database{to, out.To.Ref()}
	names, err := source.query(ctx, "postgres", `select datname from pg_database where datallowconn and not datistemplate order by 1`)
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Fields(names) {
		if err := target.prepare(ctx, name); err != nil {
			return nil, err
		}
	}
	// Roles that are there already are no failure.
	if _, err := pipe(ctx, source, []string{"pg_dumpall", "--globals-only", "--no-role-passwords"},
		target, []string{"psql", "-qX", "-d", "postgres"}); err != nil {
		return nil, err
	}
	for _, name := range strings.Fields(names) {
		n, err := pipe(ctx, source, []string{"bash", "-c", dumpScript, "dump", name},
			target, []string{"psql", "-qX", "-1", "-v", "ON_ERROR_STOP=1", "-d", name})
		if err != nil {
			return nil, err
		}
		before, rows, err := source.counts(ctx, name)
		if err != nil {
			return nil, err
		}
		after, _, err := target.counts(ctx, name)
		if err != nil {
			return nil, err
		}
		if before != after {
			return nil, nixspace.Errorf(nixspace.KindConflict, "migration_differs",
				"the tables of database %s do not have as many rows in %s as in %s", name, target.ref, source.ref).
				WithHint("was it written to meanwhile? Stop what writes, remove the database in %s, and try again", target.ref)
		}
		out.Databases = append(out.Databases, name)
		out.Bytes += n
		out.Rows += rows
		out.Tables += len(strings.Fields(before))
	}
	actor, _ := nixspace.ActorFrom(ctx)
	return out, a.records.Store.InTx(ctx, func(tx records.Tx) error {
		return tx.Events().Append(ctx, &nixspace.Event{
			At: records.Now(), Kind: "session.data_migrated", EnvironmentID: out.To.EnvironmentID, SessionID: out.To.ID, Actor: actor.Name,
			Message: fmt.Sprintf("carried the data of session %s over to %s: %d rows", source.ref, target.ref, out.Rows),
			Data:    map[string]any{"from": out.From.ID, "rows": out.Rows, "tables": out.Tables},
		})
	})
}

// dumpScript dumps a database. The client programs may be newer than the server
// that reads the dump, and begin it with a setting that such a server does not
// know; it does nothing.
const dumpScript = `set -o pipefail
pg_dump --format=plain --dbname="$1" | sed '1,60{/^SET transaction_timeout = 0;$/d}'`

// database is the PostgreSQL of one session.
type database struct {
	nixspace.Machine
	ref string
}

// query runs SQL and returns its rows, one a line, "|" between columns.
func (d database) query(ctx context.Context, name, sql string) (string, error) {
	return d.run(ctx, []string{"psql", "-AtqX", "-v", "ON_ERROR_STOP=1", "-d", name}, strings.NewReader(sql))
}

// prepare makes sure that a database is there and has no tables.
func (d database) prepare(ctx context.Context, name string) error {
	literal := "'" + strings.ReplaceAll(name, "'", "''") + "'"
	has, err := d.query(ctx, "postgres", "select count(*) from pg_database where datname = "+literal)
	if err != nil {
		return err
	}
	if strings.TrimSpace(has) == "0" {
		_, err := d.run(ctx, []string{"createdb", name}, nil)
		return err
	}
	tables, err := d.query(ctx, name, `select count(*) from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and n.nspname not like 'pg\_%' and n.nspname <> 'information_schema'`)
	if err != nil {
		return err
	}
	if n := strings.TrimSpace(tables); n != "0" {
		return nixspace.Errorf(nixspace.KindConflict, "migration_not_empty", "database %s of session %s has %s tables already", name, d.ref, n).
			WithHint("take a session whose database is empty: start a new one of its environment")
	}
	return nil
}

// counts returns the number of rows of every table, one a line, and their sum.
func (d database) counts(ctx context.Context, name string) (text string, rows int64, err error) {
	text, err = d.query(ctx, name, `select format('select %L, count(*) from %I.%I', n.nspname || '.' || c.relname, n.nspname, c.relname)
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname not like 'pg\_%' and n.nspname <> 'information_schema' order by n.nspname, c.relname \gexec
`)
	for _, line := range strings.Split(text, "\n") {
		var n int64
		if i := strings.LastIndexByte(line, '|'); i >= 0 {
			if _, err := fmt.Sscan(line[i+1:], &n); err == nil {
				rows += n
			}
		}
	}
	return text, rows, err
}

// queryOutput bounds what one query may answer.
const queryOutput = 4 << 20

// run runs a program that reads stdin, and returns what it printed.
func (d database) run(ctx context.Context, argv []string, stdin io.Reader) (string, error) {
	out := &boundedBuffer{}
	if err := d.stream(ctx, argv, stdin, out); err != nil {
		return "", err
	}
	return out.String(), nil
}

type boundedBuffer struct{ bytes.Buffer }

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > queryOutput {
		return 0, nixspace.Errorf(nixspace.KindLimit, "migration_too_large", "the answer to a question about the database is too long")
	}
	return b.Buffer.Write(p)
}

// stream runs a program between stdin and stdout, and fails with what it said on
// standard error unless it exits with 0.
func (d database) stream(ctx context.Context, argv []string, stdin io.Reader, stdout io.Writer) error {
	p, err := d.Exec(ctx, nixspace.Command{Argv: argv})
	if nixspace.ErrorCode(err) == "command_not_found" {
		return nixspace.Errorf(nixspace.KindInvalid, "migration_no_database", "session %s has no PostgreSQL (%s)", d.ref, argv[0])
	}
	if err != nil {
		return err
	}
	defer p.Close()
	defer context.AfterFunc(ctx, func() { p.Close() })()
	var complaint bytes.Buffer
	var streams sync.WaitGroup
	var in error
	streams.Go(func() {
		w := p.Stdin()
		if stdin != nil {
			if _, in = io.Copy(w, stdin); in != nil {
				p.Close() // half of its input must not look like all of it
				return
			}
		}
		if err := w.Close(); in == nil {
			in = err
		}
	})
	streams.Go(func() {
		_, _ = io.Copy(&complaint, io.LimitReader(p.Stderr(), records.MaxMessage))
		_, _ = io.Copy(io.Discard, p.Stderr())
	})
	_, outErr := io.Copy(stdout, p.Stdout())
	if outErr != nil {
		p.Close() // nobody reads it any more
	}
	streams.Wait()
	code, err := p.Wait()
	switch {
	case ctx.Err() != nil:
		return nixspace.Errorf(nixspace.KindCanceled, "canceled", "canceled: %w", context.Cause(ctx))
	case err == nil && code != 0:
		return nixspace.Errorf(nixspace.KindConflict, "migration_failed", "%s in session %s ended with %d: %s",
			argv[0], d.ref, code, records.CleanText(strings.TrimSpace(complaint.String())))
	case err == nil && in != nil:
		err = in
	}
	return errors.Join(err, outErr)
}

// pipe runs a program in one session whose output a program in another one reads,
// and returns how many bytes went over.
func pipe(ctx context.Context, from database, write []string, to database, read []string) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	counted := &countingWriter{w: w}
	done := make(chan error, 1)
	go func() {
		err := from.stream(ctx, write, nil, counted)
		_ = w.CloseWithError(err) // the end of the input, or why there is none
		done <- err
	}()
	readErr := to.stream(ctx, read, r, io.Discard)
	_ = r.CloseWithError(work.ErrSuperseded)
	writeErr := <-done
	if writeErr != nil && !errors.Is(writeErr, work.ErrSuperseded) {
		return counted.n, writeErr
	}
	return counted.n, readErr
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
