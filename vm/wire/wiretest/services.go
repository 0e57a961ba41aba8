package wiretest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// service returns a service that counts its starts in the file count, becomes
// ready when it has made the file up, and ends with SIGTERM.
func (g *guest) service(name string) nixspace.Service {
	dir := g.Dir + "/" + name
	return nixspace.Service{
		Name: name, Dir: dir,
		Argv:  []string{"sh", "-c", `echo start >>count; trap 'echo bye; echo stop >>count; exit 0' TERM; echo "hello from $WHO"; echo $$ >pid; : >up; while :; do sleep 0.05; done`},
		Env:   map[string]string{"WHO": name},
		Ready: nixspace.Probe{Exec: []string{"sh", "-c", "test -e up"}},
	}
}

func (g *guest) startAll(t *testing.T, services ...nixspace.Service) error {
	t.Helper()
	return g.StartServices(patient(t), wire.StartRequest{Services: services}, nil)
}

// await watches the services until one is as wanted.
func (g *guest) await(t *testing.T, name string, as func(nixspace.ServiceStatus) bool) nixspace.ServiceStatus {
	t.Helper()
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	var found, last nixspace.ServiceStatus
	err := g.WatchServices(ctx, func(list []nixspace.ServiceStatus) {
		for _, s := range list {
			if s.Name != name {
				continue
			}
			if last = s; as(s) && found.Name == "" {
				found = s
				cancel()
			}
		}
	})
	if found.Name == "" {
		t.Fatalf("service %s does not get there, it is %+v: %v", name, last, err)
	}
	return found
}

func testServices(t *testing.T, g *guest) {
	one := g.service("one")
	one.Dirs = []nixspace.ServiceDir{{Path: g.Dir + "/one/private", Mode: 0o700}}
	one.Files = map[string]string{g.Dir + "/one/conf/settings": "a = 1\n"}
	one.Init = [][]string{{"sh", "-c", "echo init >>once; cat conf/settings >>once"}, {"sh", "-c", "echo second >>once"}}
	one.After = [][]string{{"sh", "-c", "test -e up && echo after >>once"}}
	one.InitDone = g.Dir + "/one/.done"
	two := g.service("two")

	t.Run("they get ready", func(t *testing.T) {
		var seen []string
		err := g.StartServices(patient(t), wire.StartRequest{Services: []nixspace.Service{one, two}}, func(list []nixspace.ServiceStatus) {
			if len(list) != 2 || list[0].Name != "one" || list[1].Name != "two" {
				t.Errorf("%+v", list)
			}
			seen = append(seen, list[0].State)
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) < 2 || seen[0] != "starting" || seen[len(seen)-1] != "ready" {
			t.Errorf("service one was %v", seen)
		}
		list, err := g.Services(patient(t))
		if err != nil || len(list) != 2 || list[0].State != "ready" || list[1].State != "ready" {
			t.Errorf("%+v, %v", list, err)
		}
		if got := g.sh(t, `cat "$1/one/once"; stat -c %a "$1/one/private"; cat "$1/one/count"`, g.Dir); got != "init\na = 1\nsecond\nafter\n700\nstart" {
			t.Errorf("%q", got)
		}
	})
	t.Run("starting them again only follows them", func(t *testing.T) {
		if err := g.startAll(t, one, two); err != nil {
			t.Fatal(err)
		}
		if got := g.sh(t, `cat "$1/one/count"`, g.Dir); got != "start" {
			t.Errorf("%q", got)
		}
		other := two
		other.Env = map[string]string{"WHO": "another"}
		wantCode(t, "another service of that name", g.startAll(t, other), "service_exists")
	})
	t.Run("what cannot be a service", func(t *testing.T) {
		for name, change := range map[string]func(*nixspace.Service){
			"its name":       func(s *nixspace.Service) { s.Name = "../x" },
			"no command":     func(s *nixspace.Service) { s.Argv = nil },
			"its directory":  func(s *nixspace.Service) { s.Dir = "relative" },
			"a directory":    func(s *nixspace.Service) { s.Dirs = []nixspace.ServiceDir{{Path: "x"}} },
			"a file":         func(s *nixspace.Service) { s.Files = map[string]string{"x": ""} },
			"its signal":     func(s *nixspace.Service) { s.StopSignal = "SIGNOTHING" },
			"an empty init":  func(s *nixspace.Service) { s.Init = [][]string{{}} },
			"its variables":  func(s *nixspace.Service) { s.Env = map[string]string{"": "x"} },
			"an empty after": func(s *nixspace.Service) { s.After = [][]string{{""}} },
		} {
			bad := g.service("bad")
			change(&bad)
			if err := g.startAll(t, bad); nixspace.ErrorKind(err) != nixspace.KindInvalid {
				t.Errorf("%s passes: %v", name, err)
			}
		}
	})
	t.Run("one that needs another waits for it", func(t *testing.T) {
		last, first := g.service("last"), g.service("first")
		last.Needs = []string{"first", "one"} // of which one runs already
		last.Init = [][]string{{"test", "-e", g.Dir + "/first/ready"}}
		first.After = [][]string{{"sh", "-c", ": >ready"}}
		if err := g.startAll(t, last, first); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("what cannot be needed", func(t *testing.T) {
		lonely, a, b := g.service("lonely"), g.service("a"), g.service("b")
		lonely.Needs, a.Needs, b.Needs = []string{"nobody"}, []string{"b"}, []string{"a"}
		for _, list := range [][]nixspace.Service{{lonely}, {a, b}} {
			wantCode(t, list[0].Name, g.startAll(t, list...), "service_invalid")
		}
	})
	t.Run("a log", func(t *testing.T) {
		r, err := g.Logs(patient(t), "one", false)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		b, err := io.ReadAll(r)
		if err != nil || !strings.Contains(string(b), "hello from one\n") {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("ready by a socket", func(t *testing.T) {
		if g.Echo == nil {
			t.Log("a TCP probe was NOT tested: the guest has no echo program")
			return
		}
		s := nixspace.Service{Name: "echo", Dir: g.Dir + "/echo", Argv: append(g.Echo, "39417"), Ready: nixspace.Probe{TCP: 39417}}
		if err := g.startAll(t, s); err != nil {
			t.Fatal(err)
		}
		conn, err := g.Dial(patient(t), 39417)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	})
}

func testCrashes(t *testing.T, g *guest) {
	t.Run("one that is killed comes back", func(t *testing.T) {
		s := g.service("phoenix")
		s.Init = [][]string{{"sh", "-c", "echo init >>once"}}
		s.After = [][]string{{"sh", "-c", "echo after >>once"}}
		if err := g.startAll(t, s); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 2; n++ {
			g.sh(t, `cd "$1/phoenix" && rm up && kill -9 $(cat pid)`, g.Dir)
			back := g.await(t, "phoenix", func(st nixspace.ServiceStatus) bool { return st.State == "ready" && st.Restarts == n })
			if back.Message != "" {
				t.Errorf("%+v", back)
			}
		}
		if got := g.sh(t, `cat "$1/phoenix/once" "$1/phoenix/count"`, g.Dir); got != "init\nafter\nstart\nstart\nstart" {
			t.Errorf("%q", got)
		}
	})
	t.Run("another After runs on the same data", func(t *testing.T) {
		// A second service of the same data stands for the next start of the first.
		done := g.Dir + "/kept-init"
		start := func(name, after string) {
			s := g.service(name)
			s.Init, s.InitDone = [][]string{{"sh", "-c", "echo init >>../kept-once"}}, done
			s.After = [][]string{{"sh", "-c", "echo " + after + " >>../kept-once"}}
			if err := g.startAll(t, s); err != nil {
				t.Fatal(err)
			}
		}
		start("kept-1", "one")
		start("kept-2", "one")
		start("kept-3", "two")
		if got := g.sh(t, `cat "$1/kept-once"`, g.Dir); got != "init\none\ntwo" {
			t.Errorf("%q", got)
		}
	})
	failed := func(t *testing.T, s nixspace.Service, timeout time.Duration, words ...string) {
		t.Helper()
		err := g.StartServices(patient(t), wire.StartRequest{Services: []nixspace.Service{s}, ReadyTimeout: timeout}, nil)
		wantCode(t, s.Name, err, "service_failed")
		st := g.await(t, s.Name, func(st nixspace.ServiceStatus) bool { return st.State == "failed" })
		for _, w := range append(words, s.Name) {
			if err != nil && !strings.Contains(err.Error(), w) {
				t.Errorf("the error does not say %q: %v", w, err)
			}
		}
		for _, w := range words {
			if !strings.Contains(st.Message, w) {
				t.Errorf("the state does not say %q: %q", w, st.Message)
			}
		}
	}
	t.Run("one that ends at once", func(t *testing.T) {
		s := g.service("brief")
		s.Argv = []string{"sh", "-c", "echo the disk is on fire; exit 3"}
		failed(t, s, 0, "exited with status 3, 3 times", "the disk is on fire")
	})
	t.Run("one that does not exist", func(t *testing.T) {
		s := g.service("missing")
		s.Argv = []string{"no-such-daemon"}
		failed(t, s, 0, `there is no command "no-such-daemon"`)
	})
	t.Run("one whose initialisation fails is initialised again", func(t *testing.T) {
		s := g.service("init-fails")
		s.Init = [][]string{{"sh", "-c", "echo tried; echo tried >>tries; test -e allowed"}}
		failed(t, s, 0, "its initialisation failed: sh exited with status 1", "tried")
		if got := g.sh(t, `cat "$1/init-fails/tries"; ls "$1/init-fails"`, g.Dir); got != "tried\ntries" {
			t.Errorf("%q", got)
		}
	})
	t.Run("one whose After fails", func(t *testing.T) {
		s := g.service("after-fails")
		s.After = [][]string{{"sh", "-c", "echo cannot create the database; exit 9"}}
		failed(t, s, 0, "what should run after that failed: sh exited with status 9", "cannot create the database")
		g.sh(t, `! kill -0 $(cat "$1/after-fails/pid") 2>/dev/null`, g.Dir)
	})
	t.Run("one that never gets ready", func(t *testing.T) {
		s := g.service("never")
		s.Argv = []string{"sh", "-c", "echo $$ >pid; echo still waiting for a lock; exec sleep 1000"}
		s.Ready = nixspace.Probe{Exec: []string{"sh", "-c", "test -e pid && echo no answer && exit 1"}}
		failed(t, s, 5*time.Second, "did not get ready in 5s", "no answer", "still waiting for a lock")
		g.sh(t, `! kill -0 $(cat "$1/never/pid") 2>/dev/null`, g.Dir)
	})
	t.Run("one that needs what fails", func(t *testing.T) {
		s, bad := g.service("needy"), g.service("needed")
		s.Needs = []string{"needed"}
		bad.Argv = []string{"no-such-daemon"}
		err := g.startAll(t, s, bad)
		wantCode(t, "needy", err, "service_failed")
		if err != nil && !strings.Contains(err.Error(), "needy: it needs needed, which has failed") {
			t.Errorf("the error does not say why: %v", err)
		}
	})
	t.Run("an initialisation without end", func(t *testing.T) {
		s := g.service("endless")
		s.Init = [][]string{{"sleep", "1000"}}
		failed(t, s, time.Second, "sleep was not done in 1s")
	})
}

func testLogs(t *testing.T, g *guest) {
	t.Run("no such service", func(t *testing.T) {
		_, err := g.Logs(patient(t), "nothing", false)
		wantCode(t, "nothing", err, "service_unknown")
	})
	s := g.service("talker")
	s.Argv = []string{"sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; test $i = 3 && : >up; test $i -gt 3 && sleep 0.05; done"}
	if err := g.startAll(t, s); err != nil {
		t.Fatal(err)
	}
	t.Run("it is followed", func(t *testing.T) {
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		r, err := g.Logs(ctx, "talker", true)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		lines := bufio.NewScanner(r)
		for _, want := range []string{"line 1", "line 2", "line 3", "line 4", "line 5", "line 6"} {
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("%q instead of %q, %v", lines.Text(), want, lines.Err())
			}
		}
		cancel()
		for lines.Scan() {
		}
		if err := lines.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
	})
	t.Run("the agent has one too", func(t *testing.T) {
		r, err := g.Logs(patient(t), "", false)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		b, err := io.ReadAll(r)
		if err != nil || !strings.Contains(string(b), "talker") {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("it is bounded", func(t *testing.T) {
		flood := g.service("flood")
		flood.Argv = []string{"sh", "-c", "head -c 8000000 /dev/zero | tr '\\0' x; echo; echo the end; : >up; exec sleep 1000"}
		if err := g.startAll(t, flood); err != nil {
			t.Fatal(err)
		}
		r, err := g.Logs(patient(t), "flood", true)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		n := 0
		var last []byte
		buf := make([]byte, 4096)
		for !strings.Contains(string(last), "the end\n") {
			m, err := r.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			n += m
			last = append(last[max(0, len(last)-16):], buf[:m]...)
		}
		if n > 2<<20 {
			t.Errorf("the log has %d bytes", n)
		}
	})
}

func testShutdown(t *testing.T, g *guest) {
	one, two := g.service("one"), g.service("two")
	one.Argv = []string{"sh", "-c", `trap 'exit 0' INT; : >up; while :; do sleep 0.05; done`}
	one.StopSignal = "SIGINT"
	two.Argv = []string{"sh", "-c", `trap 'exit 0' TERM; : >up; while :; do sleep 0.05; done`}
	stubborn := g.service("stubborn")
	stubborn.Argv = []string{"sh", "-c", `trap '' TERM; : >up; while :; do sleep 0.05; done`}
	stubborn.StopAfter = 300 * time.Millisecond
	if err := g.startAll(t, one, two, stubborn); err != nil {
		t.Fatal(err)
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		_ = g.WatchServices(patient(t), func(list []nixspace.ServiceStatus) {
			for i := range list[1:] {
				if list[i].State == "stopped" && list[i+1].State != "stopped" {
					t.Errorf("a service ends before one that was started after it: %+v", list)
				}
			}
		})
	}()
	if err := g.Shutdown(patient(t), wire.ShutdownRequest{}); err != nil {
		t.Fatal(err)
	}
	<-watched // its stream ends with the guest
}
