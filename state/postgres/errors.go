package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nixspace/nixspace"
)

// SQLSTATE codes, from appendix A of PostgreSQL's manual.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	diskFull             = "53100"
	tooManyConnections   = "53300"
)

func retryable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == serializationFailure || pg.Code == deadlockDetected)
}

func unavailable(err error) error {
	return nixspace.Errorf(nixspace.KindUnavailable, "database_unavailable", "the database cannot be reached: %w", err).
		WithHint("check that PostgreSQL runs, then try again")
}

// violates reports whether err is a violation of the named unique constraint.
func violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == uniqueViolation && pg.ConstraintName == constraint
}

// mapError turns what a person can act on into a *nixspace.Error, and says
// what was being done otherwise.
func mapError(err error, doing string) error {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return nixspace.Errorf(nixspace.KindCanceled, "canceled", "canceled: %w", err)
	case errors.As(err, &connect):
		return unavailable(err)
	case errors.As(err, &pg):
		switch {
		case pg.Code == diskFull:
			return nixspace.Errorf(nixspace.KindLimit, "disk_full", "the database's disk is full: %w", err).
				WithHint("free some space in the state directory")
		case pg.Code == tooManyConnections, pg.Code[:2] == "57", pg.Code[:2] == "08":
			return unavailable(err)
		}
	case pgconn.SafeToRetry(err), isBroken(err):
		return unavailable(err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// isBroken reports whether err is a connection that broke: whoever killed the database
// may have done so in the middle of anything.
func isBroken(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF)
}

// oneError is mapError for queries of one row: no row is kind not_found.
func oneError(err error, what string, ref any) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return notFound(what, ref)
	}
	return mapError(err, "read "+what)
}

func notFound(what string, ref any) error {
	return nixspace.Errorf(nixspace.KindNotFound, what+"_unknown", "there is no %s %v", what, ref)
}

func nullID(id nixspace.ID) *nixspace.ID {
	if id == "" {
		return nil
	}
	return &id
}

func idOf(id *nixspace.ID) nixspace.ID {
	if id == nil {
		return ""
	}
	return *id
}

func nullText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// validIDs leaves out what cannot be an ID, which PostgreSQL would refuse.
func validIDs(ids []nixspace.ID) []nixspace.ID {
	valid := make([]nixspace.ID, 0, len(ids))
	for _, id := range ids {
		if id.Valid() {
			valid = append(valid, id)
		}
	}
	return valid
}
