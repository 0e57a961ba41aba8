package wiretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

// screen is a viewer that notes what it sees.
type screen struct {
	t *testing.T
	nixspace.Terminal
	seen   bytes.Buffer
	offset int64
	taken  int64
	skips  int
	status nixspace.TerminalStatus
	acks   bool // it acknowledges what it sees
}

func (g *guest) attach(t *testing.T, r nixspace.TerminalRequest, script string) *screen {
	t.Helper()
	if script != "" {
		r.Command = nixspace.Command{Argv: []string{"sh", "-c", script}, Dir: g.Dir}
	}
	term, err := g.AttachTerminal(patient(t), r)
	if err != nil {
		t.Fatalf("attach to %q: %v", r.Name, err)
	}
	t.Cleanup(func() { _ = term.Close() })
	at := term.Attached()
	return &screen{t: t, Terminal: term, offset: at.From, taken: at.Taken, acks: true}
}

// next takes one event.
func (s *screen) next() (nixspace.TerminalEvent, error) {
	e, err := s.Next()
	if err != nil {
		return e, err
	}
	switch e.Kind {
	case nixspace.TerminalOutput:
		if e.Offset != s.offset {
			s.t.Fatalf("output at %d after %d", e.Offset, s.offset)
		}
		s.seen.Write(e.Data)
		s.offset += int64(len(e.Data))
		if s.acks {
			if err := s.Ack(s.offset); err != nil {
				return e, err
			}
		}
	case nixspace.TerminalSkipped:
		s.offset = e.Offset
		s.skips++
		s.seen.Reset()
	case nixspace.TerminalTaken:
		s.taken = e.Offset
	case nixspace.TerminalChanged:
		s.status = e.Status
	}
	return e, nil
}

// until takes events until done says so.
func (s *screen) until(what string, done func(e nixspace.TerminalEvent) bool) {
	s.t.Helper()
	stop := time.AfterFunc(patience, func() { _ = s.Close() })
	defer stop.Stop()
	for {
		e, err := s.next()
		if err != nil {
			s.t.Fatalf("no %s: %v, after %d bytes ending in %q", what, err, s.seen.Len(), tailOf(s.seen.Bytes()))
		}
		if done(e) {
			return
		}
	}
}

func tailOf(b []byte) []byte { return b[max(0, len(b)-200):] }

func (s *screen) text(want string) {
	s.t.Helper()
	if strings.Contains(s.seen.String(), want) {
		return
	}
	s.until(fmt.Sprintf("%q", want), func(nixspace.TerminalEvent) bool { return strings.Contains(s.seen.String(), want) })
}

func (s *screen) ended() int {
	s.t.Helper()
	code := 0
	s.until("end", func(e nixspace.TerminalEvent) bool {
		code = e.Code
		return e.Kind == nixspace.TerminalEnded
	})
	return code
}

func (s *screen) write(text string) {
	s.t.Helper()
	if _, err := s.Write([]byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

func testTerminals(t *testing.T, g *guest) {
	t.Run("it outlives its viewers", func(t *testing.T) {
		a := g.attach(t, nixspace.TerminalRequest{Name: "main", Viewer: "a"}, "stty -echo; echo up; while read x; do echo got $x; done; exit 7")
		if !a.Attached().Created {
			t.Error("it was there already")
		}
		a.text("up")
		a.write("one\n")
		a.text("got one")
		_ = a.Close()
		b := g.attach(t, nixspace.TerminalRequest{Name: "main", Viewer: "b"}, "echo another")
		if at := b.Attached(); at.Created || !at.Reset || at.ID != a.Attached().ID {
			t.Errorf("%+v", at)
		}
		b.text("got one")
		b.write("two\n\x04")
		b.text("got two")
		if code := b.ended(); code != 7 {
			t.Errorf("exit code %d", code)
		}
		// Who was away when it ended gets the rest, and how it ended.
		again := g.attach(t, nixspace.TerminalRequest{Name: "main", Viewer: "a", ID: a.Attached().ID, From: a.offset}, "echo another")
		if at := again.Attached(); at.Reset || at.From != a.offset {
			t.Errorf("%+v", at)
		}
		if code := again.ended(); code != 7 || strings.Contains(again.seen.String(), "got one") || !strings.Contains(again.seen.String(), "got two") {
			t.Errorf("exit code %d after %q", code, again.seen.String())
		}
		fresh := g.attach(t, nixspace.TerminalRequest{Name: "main", Viewer: "a"}, "echo fresh")
		if at := fresh.Attached(); !at.Created || at.ID == a.Attached().ID {
			t.Errorf("%+v", at)
		}
		fresh.text("fresh")
		fresh.ended()
	})
	t.Run("output resumes at every byte", func(t *testing.T) { g.testResume(t) })
	t.Run("input arrives once", func(t *testing.T) { g.testInput(t) })
	t.Run("a viewer that stands still holds no other", func(t *testing.T) { Stalled(t, g.Client, g.Dir, 12_000_000) })
	t.Run("viewers that stand still do not hold the program for ever", func(t *testing.T) {
		name := fmt.Sprintf("%s/went-on", g.Dir)
		s := g.attach(t, nixspace.TerminalRequest{Name: "still", Viewer: "a"}, "stty -opost; head -c 3000000 /dev/zero; : >"+name)
		s.acks = false
		g.sh(t, `while ! test -e "$1"; do sleep 0.1; done`, name)
		_ = s.Close()
	})
	t.Run("the smallest decides the size", func(t *testing.T) {
		// It looks again and again: bash loses a SIGWINCH that comes while it runs the
		// trap of the one before.
		a := g.attach(t, nixspace.TerminalRequest{Name: "size", Viewer: "a", Who: "Ada\x1b", Cols: 120, Rows: 40},
			`was=$(stty size); echo up; while :; do is=$(stty size); [ "$is" = "$was" ] || echo "$is"; was=$is; sleep 0.05; done`)
		a.text("up")
		b := g.attach(t, nixspace.TerminalRequest{Name: "size", Viewer: "b", Cols: 100, Rows: 50}, "")
		a.text("40 100")
		ro := g.attach(t, nixspace.TerminalRequest{Name: "size", Viewer: "c", Cols: 10, Rows: 5, ReadOnly: true}, "")
		a.until("three viewers", func(nixspace.TerminalEvent) bool { return len(a.status.Viewers) == 3 })
		if s := a.status; s.Cols != 100 || s.Rows != 40 || s.Viewers[0].Who != "Ada" || !s.Viewers[2].ReadOnly || s.Viewers[0].Key != a.Attached().Key {
			t.Errorf("%+v", s)
		}
		if err := a.Resize(90, 30); err != nil {
			t.Fatal(err)
		}
		b.text("30 90")
		_ = a.Close()
		b.text("50 100")
		// Who may not type, and tries, is put out.
		ro.write("x")
		for {
			if _, err := ro.next(); err != nil {
				break
			}
		}
		if err := g.CloseTerminal(patient(t), "size"); err != nil {
			t.Error(err)
		}
		if code := b.ended(); code != 129 && code != 0 {
			t.Errorf("exit code %d after a hangup", code)
		}
	})
	t.Run("it is refused", func(t *testing.T) {
		for _, c := range []struct {
			r    nixspace.TerminalRequest
			code string
		}{
			{nixspace.TerminalRequest{Name: "none", Viewer: "a"}, "terminal_not_found"},
			{nixspace.TerminalRequest{Name: "../x", Viewer: "a"}, "terminal_invalid"},
			{nixspace.TerminalRequest{Name: "x"}, "viewer_invalid"},
			{nixspace.TerminalRequest{Name: "x", Viewer: "a", Command: nixspace.Command{Argv: []string{"no-such-command"}, Dir: g.Dir}}, "command_not_found"},
		} {
			_, err := g.AttachTerminal(patient(t), c.r)
			wantCode(t, fmt.Sprintf("%+v", c.r), err, c.code)
		}
		wantCode(t, "to close none", g.CloseTerminal(patient(t), "none"), "terminal_not_found")
	})
	t.Run("the view has it, and ports", func(t *testing.T) {
		s := g.attach(t, nixspace.TerminalRequest{Name: "seen", Viewer: "a"}, "echo up; exec sleep 1000")
		s.text("up")
		port := 0
		if len(g.Echo) > 0 {
			echo := g.start(t, nixspace.Command{Argv: g.Echo})
			_, _ = fmt.Sscan(awaitLine(t, echo.Stdout(), ""), &port)
		}
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		found := false
		err := g.WatchView(ctx, func(v nixspace.MachineView) {
			terminal, listens := false, port == 0
			for _, s := range v.Terminals {
				terminal = terminal || s.Name == "seen" && s.Process == "sleep"
			}
			for _, p := range v.Ports {
				listens = listens || p.Port == port && p.PID > 0 && p.Process != ""
			}
			if terminal && listens {
				found = true
				cancel()
			}
		})
		if !found || !errors.Is(err, context.Canceled) {
			t.Errorf("found %v, %v", found, err)
		}
		if err := g.CloseTerminal(patient(t), "seen"); err != nil {
			t.Error(err)
		}
	})
}

// testResume reads output in pieces of any size over many attachments.
func (g *guest) testResume(t *testing.T) {
	var want bytes.Buffer
	for i := 1; want.Len() < 700_000; i++ {
		fmt.Fprintf(&want, "%d\n", i)
	}
	total := want.Len()
	rnd := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	t.Logf("seeded with %d", os.Getpid())
	r := nixspace.TerminalRequest{Name: "resume", Viewer: "a"}
	script := fmt.Sprintf("stty -opost; seq 1 200000 | head -c %d", total)
	var got bytes.Buffer
	code := -1
	for code < 0 {
		s := g.attach(t, r, script)
		at := s.Attached()
		if r.ID != "" && (at.Reset || at.From != r.From || at.ID != r.ID) {
			t.Fatalf("asked for %d of %s, attached as %+v", r.From, r.ID, at)
		}
		s.acks = rnd.IntN(3) > 0
		for n := rnd.IntN(8); n >= 0 && code < 0; n-- {
			e, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind == nixspace.TerminalEnded {
				code = e.Code
			}
			if s.offset-at.From >= 200_000 {
				break // without acknowledgements nothing more comes
			}
		}
		keep := s.seen.Bytes()
		if code < 0 && len(keep) > 0 {
			keep = keep[:rnd.IntN(len(keep)+1)] // the rest is lost with the connection
		}
		got.Write(keep)
		r.ID, r.From = at.ID, at.From+int64(len(keep))
		_ = s.Close()
	}
	if code != 0 || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Fatalf("exit code %d; %d bytes, not the %d that were written", code, got.Len(), want.Len())
	}
}

// testInput types over attachments that break at any byte.
func (g *guest) testInput(t *testing.T) {
	rnd := rand.New(rand.NewPCG(uint64(os.Getpid()), 2))
	var want bytes.Buffer
	for i := 0; want.Len() < 150_000; i++ {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	name := g.Dir + "/typed"
	script := fmt.Sprintf(`stty raw -echo; echo up; head -c %d >"%s"`, want.Len(), name)
	r := nixspace.TerminalRequest{Name: "input", Viewer: "typist"}
	first := g.attach(t, r, script)
	first.text("up")
	_ = first.Close()
	r.ID = first.Attached().ID
	for done := false; !done; {
		s := g.attach(t, r, "")
		if s.Attached().ID != first.Attached().ID {
			t.Fatal("it is another terminal")
		}
		rest := want.Bytes()[s.taken:]
		n := min(len(rest), 1+rnd.IntN(40_000))
		done = n == len(rest)
		s.write(string(rest[:n]))
		if done {
			if code := s.ended(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		} else if rnd.IntN(2) == 0 {
			_, _ = s.next()
		}
		_ = s.Close()
	}
	if got := g.sh(t, `cat "$1"`, name); got != strings.TrimSuffix(want.String(), "\n") {
		t.Errorf("%d bytes arrived, not the %d that were typed", len(got), want.Len())
	}
}

// Stalled has a program write total bytes while one viewer reads and another one
// does not.
func Stalled(t *testing.T, c *wire.Client, dir string, total int) {
	t.Helper()
	g := &guest{Guest: Guest{Dir: dir}, Client: c}
	reader := g.attach(t, nixspace.TerminalRequest{Name: "bulk", Viewer: "reader"},
		fmt.Sprintf("stty -opost -echo; echo up; read go; head -c %d /dev/zero | tr '\\0' x; echo; echo over", total))
	reader.text("up\n")
	still := g.attach(t, nixspace.TerminalRequest{Name: "bulk", Viewer: "still"}, "")
	still.acks = false
	reader.write("\n")
	seen := int64(0)
	reader.until("end", func(e nixspace.TerminalEvent) bool {
		if e.Kind == nixspace.TerminalOutput {
			seen += int64(len(e.Data))
			if reader.seen.Len() > 1<<20 {
				reader.seen.Reset()
			}
		}
		return e.Kind == nixspace.TerminalEnded
	})
	if want := int64(total) + int64(len("\nover\n")); seen != want || reader.skips > 0 {
		t.Errorf("the one who reads got %d bytes of %d, and %d gaps", seen, want, reader.skips)
	}
	// The other one has the end of it once it looks again.
	still.acks = true
	still.ended()
	if !strings.HasSuffix(still.seen.String(), "over\n") || still.skips == 0 {
		t.Errorf("the one who stood still has %d gaps and %q at the end", still.skips, tailOf(still.seen.Bytes()))
	}
}
