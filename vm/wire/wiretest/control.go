package wiretest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// testPolicies looks at what happens when a service ends by itself.
func testPolicies(t *testing.T, g *guest) {
	ends := func(name, script string, policy nixspace.Restart) nixspace.Service {
		return nixspace.Service{Name: name, Dir: g.Dir + "/" + name, Argv: []string{"sh", "-c", script}, Restart: policy}
	}
	exited := func(st nixspace.ServiceStatus, code int) bool { return st.ExitCode != nil && *st.ExitCode == code }
	t.Run("one that is done", func(t *testing.T) {
		// It is not ready before it has ended, and who needs it waits for that.
		job := ends("job", "sleep 0.3; echo made >made", nixspace.Restart{When: nixspace.RestartNever})
		job.Ready = nixspace.Probe{Exec: []string{"false"}}
		after := g.service("after-job")
		after.Needs = []string{"job"}
		after.Init = [][]string{{"test", "-e", g.Dir + "/job/made"}}
		if err := g.startAll(t, after, job); err != nil {
			t.Fatal(err)
		}
		st := g.await(t, "job", func(st nixspace.ServiceStatus) bool { return st.State == nixspace.ServiceDone })
		if !exited(st, 0) || st.Restarts != 0 || st.Message != "it exited with status 0" {
			t.Errorf("%+v", st)
		}
	})
	t.Run("never", func(t *testing.T) {
		s := ends("fails-once", "echo start >>count; exit 3", nixspace.Restart{When: nixspace.RestartNever})
		s.Ready = nixspace.Probe{Exec: []string{"false"}}
		wantCode(t, s.Name, g.startAll(t, s), "service_failed")
		st := g.await(t, s.Name, func(st nixspace.ServiceStatus) bool { return st.State == nixspace.ServiceFailed })
		if !exited(st, 3) || !strings.Contains(st.Message, "exited with status 3, and is not to be started again") {
			t.Errorf("%+v", st)
		}
		if got := g.sh(t, `cat "$1/fails-once/count"`, g.Dir); got != "start" {
			t.Errorf("it was started more than once: %q", got)
		}
	})
	t.Run("on failure", func(t *testing.T) {
		s := ends("recovers", "echo start >>count; test $(wc -l <count) = 2", nixspace.Restart{When: nixspace.RestartOnFailure})
		s.Ready = nixspace.Probe{Exec: []string{"false"}}
		if err := g.startAll(t, s); err != nil {
			t.Fatal(err)
		}
		st := g.await(t, s.Name, func(st nixspace.ServiceStatus) bool { return st.State == nixspace.ServiceDone })
		if !exited(st, 0) || st.Restarts != 1 {
			t.Errorf("%+v", st)
		}
	})
	t.Run("a limit", func(t *testing.T) {
		s := ends("limited", "echo start >>count; exit 7", nixspace.Restart{Limit: 4, Delay: time.Millisecond})
		s.Ready = nixspace.Probe{Exec: []string{"false"}}
		wantCode(t, s.Name, g.startAll(t, s), "service_failed")
		st := g.await(t, s.Name, func(st nixspace.ServiceStatus) bool { return st.State == nixspace.ServiceFailed })
		if !exited(st, 7) || st.Restarts != 4 || !strings.Contains(st.Message, "5 times in a row") {
			t.Errorf("%+v", st)
		}
		if got := g.sh(t, `wc -l <"$1/limited/count"`, g.Dir); strings.TrimSpace(got) != "5" {
			t.Errorf("it was started %s times", got)
		}
	})
	t.Run("its own time to get ready", func(t *testing.T) {
		s := g.service("slow")
		s.Ready, s.ReadyTimeout = nixspace.Probe{Exec: []string{"false"}}, time.Second
		err := g.startAll(t, s)
		wantCode(t, s.Name, err, "service_failed")
		if err != nil && !strings.Contains(err.Error(), "did not get ready in 1s") {
			t.Error(err)
		}
	})
	t.Run("what is no policy", func(t *testing.T) {
		s := ends("odd", "true", nixspace.Restart{When: "sometimes"})
		wantCode(t, "odd", g.startAll(t, s), "service_invalid")
		s = ends("odd", "true", nixspace.Restart{})
		s.Ready.HTTP = "/"
		wantCode(t, "a page without a port", g.startAll(t, s), "service_invalid")
		s.Ready = nixspace.Probe{TCP: 80, HTTP: "/ HTTP/1.1\r\nX: y"}
		wantCode(t, "a page with a header", g.startAll(t, s), "service_invalid")
	})
}

// testControl starts and stops single services.
func testControl(t *testing.T, g *guest) {
	one, two := g.service("one"), g.service("two")
	two.Needs, two.Ports = []string{"one"}, []int{4711}
	if err := g.startAll(t, one, two); err != nil {
		t.Fatal(err)
	}
	do := func(t *testing.T, name string, action nixspace.ServiceAction, want string) nixspace.ServiceStatus {
		t.Helper()
		st, err := g.ControlService(patient(t), wire.ControlRequest{Name: name, Action: action})
		if err != nil {
			t.Fatalf("%s %s: %v", action, name, err)
		}
		if st.State != want || st.Name != name {
			t.Fatalf("%s %s: %+v", action, name, st)
		}
		return st
	}
	pid := func(t *testing.T, name string) string { return g.sh(t, `cat "$1/$2/pid"`, g.Dir, name) }
	t.Run("stop and start", func(t *testing.T) {
		before := pid(t, "one")
		do(t, "one", nixspace.ServiceStop, nixspace.ServiceStopped)
		g.sh(t, `! kill -0 $1 2>/dev/null`, before)
		if st := g.await(t, "two", func(nixspace.ServiceStatus) bool { return true }); st.State != nixspace.ServiceReady || len(st.Ports) != 1 || st.Ports[0] != 4711 {
			t.Errorf("the other one: %+v", st)
		}
		do(t, "one", nixspace.ServiceStop, nixspace.ServiceStopped) // it is already
		g.sh(t, `rm "$1/one/up"`, g.Dir)
		st := do(t, "one", nixspace.ServiceStart, nixspace.ServiceReady)
		if st.Restarts != 0 || st.Since.IsZero() {
			t.Errorf("%+v", st)
		}
		after := pid(t, "one")
		if after == before {
			t.Error("it is the same process")
		}
		do(t, "one", nixspace.ServiceStart, nixspace.ServiceReady)
		if got := pid(t, "one"); got != after {
			t.Error("starting what runs started it again")
		}
		if err := g.startAll(t, one, two); err != nil { // the host may describe them again
			t.Error(err)
		}
	})
	t.Run("restart", func(t *testing.T) {
		before := pid(t, "two")
		g.sh(t, `rm "$1/two/up"`, g.Dir) // or the next one would be ready before it runs
		do(t, "two", nixspace.ServiceRestart, nixspace.ServiceReady)
		if pid(t, "two") == before {
			t.Error("it is the same process")
		}
		if got := g.sh(t, `cat "$1/two/count"`, g.Dir); got != "start\nstop\nstart" {
			t.Errorf("%q", got)
		}
	})
	t.Run("one whose need is stopped does not start", func(t *testing.T) {
		do(t, "one", nixspace.ServiceStop, nixspace.ServiceStopped)
		_, err := g.ControlService(patient(t), wire.ControlRequest{Name: "two", Action: nixspace.ServiceRestart})
		wantCode(t, "restart two", err, "service_failed")
		if err != nil && !strings.Contains(err.Error(), "it needs one, which is stopped") {
			t.Error(err)
		}
		do(t, "one", nixspace.ServiceStart, nixspace.ServiceReady)
		do(t, "two", nixspace.ServiceStart, nixspace.ServiceReady)
	})
	t.Run("one that has failed", func(t *testing.T) {
		bad := g.service("bad")
		bad.Argv = []string{"sh", "-c", "test -e allowed && touch up && exec sleep 1000"}
		wantCode(t, "bad", g.startAll(t, bad), "service_failed")
		_, err := g.ControlService(patient(t), wire.ControlRequest{Name: "bad", Action: nixspace.ServiceStart})
		wantCode(t, "start it", err, "service_failed")
		do(t, "bad", nixspace.ServiceStop, nixspace.ServiceStopped)
		g.sh(t, `: >"$1/bad/allowed"`, g.Dir)
		do(t, "bad", nixspace.ServiceStart, nixspace.ServiceReady)
	})
	t.Run("many at once", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 6 {
			action := []nixspace.ServiceAction{nixspace.ServiceStop, nixspace.ServiceStart, nixspace.ServiceRestart}[i%3]
			all.Go(func() {
				_, err := g.ControlService(patient(t), wire.ControlRequest{Name: "one", Action: action})
				// Whoever starts it may see that another has stopped it.
				if err != nil && nixspace.ErrorCode(err) != "service_failed" {
					t.Errorf("%s: %v", action, err)
				}
			})
		}
		all.Wait()
		do(t, "one", nixspace.ServiceStart, nixspace.ServiceReady)
	})
	t.Run("what cannot be", func(t *testing.T) {
		_, err := g.ControlService(patient(t), wire.ControlRequest{Name: "nobody", Action: nixspace.ServiceStop})
		wantCode(t, "no such service", err, "service_not_found")
		_, err = g.ControlService(patient(t), wire.ControlRequest{Name: "one", Action: "explode"})
		wantCode(t, "no such action", err, "action_unknown")
	})
}
