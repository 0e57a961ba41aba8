// Package postgrestest gives each test a PostgreSQL database of its own.
//
// All tests of one test binary share a server, which starts with the first that
// asks and ends with the binary, also when that is killed. Databases are copies
// of a template to which the caller's migrations were applied once, so that one
// more costs a few hundredths of a second. The server works in an odd time zone
// on purpose, and without any safety against a power cut.
package postgrestest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Migration brings an empty database to the schema that a test needs. It must
// be a named function, not a closure, because the migrated database is kept and
// copied for every later use of the same function.
type Migration func(ctx context.Context, pool *pgxpool.Pool) error

// limit for everything that is done here; it survives a loaded machine.
const limit = 2 * time.Minute

// URL returns the connection string of an empty database, with the migrations
// applied. It is dropped when the test ends. It ends the test where there is no
// PostgreSQL.
func URL(t testing.TB, migrations ...Migration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	s, err := shared()
	if err != nil {
		t.Fatalf("postgrestest: start PostgreSQL: %v", err)
	}
	template, err := s.template(ctx, migrations)
	if err != nil {
		t.Fatalf("postgrestest: %v", err)
	}
	name := "test_" + randomName()
	if err := s.exec(ctx, "create database "+name+" template "+template); err != nil {
		t.Fatalf("postgrestest: make a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := s.exec(ctx, "drop database "+name+" with (force)"); err != nil {
			t.Errorf("postgrestest: drop the database: %v", err)
		}
	})
	return s.url(name)
}

// Pool returns a pool of connections to an empty database, with the migrations
// applied. It is closed, and the database dropped, when the test ends.
func Pool(t testing.TB, migrations ...Migration) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), URL(t, migrations...))
	if err != nil {
		t.Fatalf("postgrestest: connect: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// shared is the server of this test binary. A failure is remembered too: what
// kept it from starting would keep it from starting again.
var shared = sync.OnceValues(start)

type server struct {
	socketDir string
	stdin     *os.File // the keeper ends the server when this closes; see start

	mu        sync.Mutex
	templates map[string]string // by the migrations' identity
}

func (s *server) url(db string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(superuser), Path: "/" + db,
		RawQuery: url.Values{"host": {s.socketDir}, "port": {"5432"}}.Encode(),
	}
	return u.String()
}

// exec runs one statement outside of all test databases.
func (s *server) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// template returns the database that has the migrations applied, making it once.
func (s *server) template(ctx context.Context, migrations []Migration) (string, error) {
	if len(migrations) == 0 {
		return "template1", nil
	}
	var key string
	for _, m := range migrations {
		key += fmt.Sprintf("%x ", reflect.ValueOf(m).Pointer())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.templates[key]; ok {
		return name, nil
	}
	name := "template_" + randomName()
	if err := s.exec(ctx, "create database "+name); err != nil {
		return "", fmt.Errorf("make a template database: %w", err)
	}
	pool, err := pgxpool.New(ctx, s.url(name))
	if err != nil {
		return "", fmt.Errorf("connect to the template database: %w", err)
	}
	defer pool.Close()
	for _, m := range migrations {
		if err := m(ctx, pool); err != nil {
			return "", fmt.Errorf("migrate the template database: %w", err)
		}
	}
	s.templates[key] = name
	return name, nil
}

func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
