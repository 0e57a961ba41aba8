package service

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
)

// TestPostgreSQL does with a real server what a guest does with the plan: it
// initialises, starts, asks, stops, and starts again.
func TestPostgreSQL(t *testing.T) {
	g := newGuest(t)
	port := strconv.Itoa(freePort(t))
	services, _ := plan(t, `
[services.postgresql]
port = `+port+`
databases = ["shop", "postgres", "shop_test"]
[services.postgresql.settings]
max_connections = 17
fsync = false
log_line_prefix = "it's a \\ \"test\""
`)
	s := g.relocate(services[0])

	g.prepare(s)
	// What a killed initialisation left behind does not matter.
	g.run([]string{"mkdir", "-p", g.dir + "/data/postgresql.new/base"})
	for _, argv := range s.Init {
		g.run(argv)
	}
	if _, err := os.Stat(s.InitDone); err != nil {
		t.Fatalf("the initialisation is not done: %v", err)
	}
	if _, err := os.Stat(filepath.Join(g.dir, "data/postgresql.new")); !os.IsNotExist(err) {
		t.Errorf("postgresql.new is left: %v", err)
	}
	for range 2 {
		stop := g.start(s)
		for _, argv := range s.After {
			g.without("psql", argv) // there is nothing to do, and so nothing is started
		}
		query := func(database, sql string) string {
			return strings.TrimSpace(g.run([]string{"psql", "-XAtq", "-h", g.dir + "/run/postgresql", "-p", strconv.Itoa(s.Ports[0]), "-U", "dev", "-d", database, "-c", sql}))
		}
		for sql, want := range map[string]string{
			"show max_connections":  "17",
			"show fsync":            "off",
			"show listen_addresses": "127.0.0.1",
			"select current_user || ' ' || current_setting('is_superuser')":                                          "dev on",
			"select pg_encoding_to_char(encoding) || ' ' || datcollate from pg_database where datname = 'shop_test'": "UTF8 C.UTF-8",
			"select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate":              "postgres shop shop_test",
			"show log_line_prefix": `it's a \ "test"`,
			"select setting from pg_settings where name = 'shared_buffers'":                                                     "16384",
			"create table if not exists kept (n int); insert into kept values (1); select (count(*) between 1 and 2) from kept": "t",
		} {
			if got := query("shop", sql); got != want {
				t.Errorf("%s: %q, want %q", sql, got, want)
			}
		}
		stop()
	}

	// The manifest of a later version has another database, and lacks one.
	services, _ = plan(t, `
[services.postgresql]
port = `+port+`
databases = ["shop", "reports", "reports_2"]
`)
	s = g.relocate(services[0])
	g.prepare(s)
	defer g.start(s)()
	for range 2 { // it does not mind what is there
		for _, argv := range s.After {
			g.run(argv)
		}
	}
	got := g.run([]string{
		"psql", "-XAtq", "-h", g.dir + "/run/postgresql", "-p", port, "-U", "dev", "-d", "shop", "-c",
		"select string_agg(datname, ' ' order by datname), (select count(*) from kept) from pg_database where not datistemplate",
	})
	if got != "postgres reports reports_2 shop shop_test|2\n" {
		t.Errorf("databases and rows: %q", got)
	}
}

// guest stands in for one: its root is a directory, its user nobody.
type guest struct {
	t   *testing.T
	dir string
	bin string // where PostgreSQL's programs are
	env []string
	sys *syscall.SysProcAttr
}

func newGuest(t *testing.T) *guest {
	bin, err := exec.LookPath("initdb")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(found) == 0 {
			t.Skip("NOT TESTED: there is no PostgreSQL server on this machine (postgresql of any version from 13)")
		}
		bin = found[len(found)-1]
	}
	dir, err := os.MkdirTemp("/tmp", "nixspace-service-") // short, for the socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	g := &guest{
		t: t, dir: dir, bin: filepath.Dir(bin), sys: &syscall.SysProcAttr{},
		env: append(os.Environ(), "PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8", "HOME="+dir),
	}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		g.sys.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	for _, d := range []string{"", "/data", "/run"} {
		if err := os.MkdirAll(dir+d, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir+d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// relocate moves a service's files into the directory of the guest.
func (g *guest) relocate(s nixspace.Service) nixspace.Service {
	move := strings.NewReplacer("/data", g.dir+"/data", "/run/", g.dir+"/run/").Replace
	all := func(argv []string) []string {
		var out []string
		for _, a := range argv {
			out = append(out, move(a))
		}
		return out
	}
	out := s
	out.Argv, out.Ready.Exec, out.InitDone, out.Dir = all(s.Argv), all(s.Ready.Exec), move(s.InitDone), move(s.Dir)
	out.Ready.Unix = move(s.Ready.Unix)
	out.After = nil
	for _, argv := range s.After {
		out.After = append(out.After, all(argv))
	}
	out.Init, out.Files, out.Dirs = nil, map[string]string{}, nil
	for _, argv := range s.Init {
		out.Init = append(out.Init, all(argv))
	}
	for name, text := range s.Files {
		out.Files[move(name)] = move(text)
	}
	for _, d := range s.Dirs {
		out.Dirs = append(out.Dirs, nixspace.ServiceDir{Path: move(d.Path), Mode: d.Mode})
	}
	return out
}

func (g *guest) prepare(s nixspace.Service) {
	g.t.Helper()
	for _, d := range s.Dirs {
		g.run([]string{"mkdir", "-p", d.Path})
	}
	for name, text := range s.Files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			g.t.Fatal(err)
		}
	}
}

func (g *guest) command(argv []string) *exec.Cmd {
	name := argv[0]
	if p := filepath.Join(g.bin, name); g.has(p) {
		name = p
	}
	cmd := exec.Command(name, argv[1:]...)
	cmd.Env, cmd.SysProcAttr, cmd.Dir = g.env, g.sys, g.dir+"/data"
	return cmd
}

func (g *guest) has(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func (g *guest) run(argv []string) string {
	g.t.Helper()
	var stderr bytes.Buffer
	cmd := g.command(argv)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("%.60q: %v\n%s%s", argv, err, out, stderr.String())
	}
	return string(out)
}

// without runs a command where a program is not found.
func (g *guest) without(name string, argv []string) {
	g.t.Helper()
	old := g.env
	defer func() { g.env = old }()
	empty := filepath.Join(g.dir, "empty")
	if err := os.MkdirAll(empty, 0o755); err != nil {
		g.t.Fatal(err)
	}
	g.env = append(slices.Clone(old), "PATH="+empty)
	if g.has(filepath.Join(empty, name)) {
		g.t.Fatalf("%s is there", name)
	}
	g.run(argv)
}

// start runs the service until it is ready.
func (g *guest) start(s nixspace.Service) (stop func()) {
	g.t.Helper()
	cmd := g.command(s.Argv)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	g.t.Cleanup(func() { _ = cmd.Process.Kill() })
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case err := <-done:
			if err != nil {
				g.t.Errorf("the server ended with %v:\n%s", err, log.String())
			}
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			g.t.Error("the server does not stop")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if g.command(s.Ready.Exec).Run() == nil {
			return stop
		}
		select {
		case err := <-done:
			g.t.Fatalf("the server ended with %v:\n%s", err, log.String())
		case <-ctx.Done():
			stop()
			g.t.Fatalf("the server is not ready:\n%s", log.String())
		case <-tick.C:
		}
	}
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
