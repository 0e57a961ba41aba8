package wiretest

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/vm/wire"
)

func testProtocol(t *testing.T, g *guest) {
	t.Run("ping", func(t *testing.T) {
		p, err := g.Ping(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		if p.Version != wire.Version || p.Uptime <= 0 {
			t.Errorf("%+v", p)
		}
	})
	raw := func(t *testing.T, b string) error {
		conn, err := g.Open(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, b); err != nil {
			t.Fatal(err)
		}
		_, err = wire.ReadAnswer(conn)
		return err
	}
	message := func(b string) string {
		return string([]byte{0, 0, byte(len(b) >> 8), byte(len(b))}) + b
	}
	for _, c := range []struct{ name, send, code string }{
		{"a service that does not exist", message(`{"v":1,"service":"nothing"}`), "service_unknown"},
		{"another version", message(`{"v":9,"service":"ping"}`), "version_unsupported"},
		{"no JSON", message(`hello`), "protocol_error"},
		{"another type", message(`{"v":"x"}`), "protocol_error"},
		{"a length without end", "\xff\xff\xff\xff", "protocol_error"},
		{"no request", message(`{"v":1,"service":"exec"}`), "request_invalid"},
		{"a wrong request", message(`{"v":1,"service":"exec","request":{"argv":7}}`), "request_invalid"},
	} {
		t.Run(c.name, func(t *testing.T) { wantCode(t, c.name, raw(t, c.send), c.code) })
	}
	t.Run("it still answers", func(t *testing.T) {
		if _, err := g.Ping(patient(t)); err != nil {
			t.Error(err)
		}
	})
	t.Run("time", func(t *testing.T) {
		now, err := g.SetTime(patient(t), time.Time{})
		if err != nil || now.IsZero() {
			t.Error(now, err)
		}
		if !g.Clock {
			return
		}
		want := now.Add(100 * time.Hour)
		got, err := g.SetTime(patient(t), want)
		if err != nil || got.Before(want) || got.After(want.Add(time.Hour)) {
			t.Errorf("the clock was set to %v and shows %v, %v", want, got, err)
		}
	})
}

func testExec(t *testing.T, g *guest) {
	t.Run("output and exit code", func(t *testing.T) {
		got := g.run(t, nixspace.Command{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 7"}}, "")
		if want := (result{"out\n", "err\n", 7}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
	t.Run("what it used", func(t *testing.T) {
		p := g.start(t, nixspace.Command{Argv: []string{"sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"}, Usage: true})
		go func() { _, _ = io.Copy(io.Discard, p.Stderr()) }()
		_, _ = io.Copy(io.Discard, p.Stdout())
		if code, err := p.Wait(); err != nil || code != 0 {
			t.Fatal(code, err)
		}
		if u := p.(nixspace.UsageReporter).Usage(); u == nil || u.Wall <= 0 || u.User+u.System <= 0 || u.Memory <= 0 {
			t.Errorf("usage %+v", u)
		}
	})
	t.Run("input up to its end", func(t *testing.T) {
		in := strings.Repeat("0123456789abcdef", 100_000)
		if got := g.run(t, nixspace.Command{Argv: []string{"cat"}}, in); got.stdout != in || got.code != 0 {
			t.Errorf("%d bytes became %d, code %d", len(in), len(got.stdout), got.code)
		}
	})
	t.Run("environment and directory", func(t *testing.T) {
		c := nixspace.Command{
			Argv: []string{"sh", "-c", `echo "$GREETING|$HOME|$USER|$PWD"; pwd`},
			Env:  map[string]string{"GREETING": "a b\nc"}, Dir: "/tmp",
		}
		got := g.run(t, c, "").stdout
		if !strings.HasPrefix(got, "a b\nc|") || !strings.Contains(got, "home/dev|dev|/tmp\n/tmp\n") {
			t.Errorf("%q", got)
		}
		if g.Dev {
			if got := g.sh(t, "id -u; id -g; id -G; : >~/mine; (: >/etc/not-mine) 2>/dev/null || echo refused"); got != "1000\n1000\n1000\nrefused" {
				t.Errorf("the user is %q", got)
			}
		}
	})
	t.Run("what cannot be run", func(t *testing.T) {
		g.sh(t, `cd "$1" && echo data >plain && mkdir -p folder && printf '#!/no/such/interpreter\n' >lost && chmod +x lost`, g.Dir)
		for _, c := range []struct {
			cmd  nixspace.Command
			code string
		}{
			{nixspace.Command{Argv: []string{"no-such-command-anywhere"}}, "command_not_found"},
			{nixspace.Command{Argv: []string{"./no-such-file"}}, "command_not_found"},
			{nixspace.Command{Argv: []string{"./plain"}}, "command_not_executable"},
			{nixspace.Command{Argv: []string{"./folder"}}, "command_not_executable"},
			{nixspace.Command{Argv: []string{"./lost"}}, "command_not_executable"},
			{nixspace.Command{Argv: nil}, "command_empty"},
			{nixspace.Command{Argv: []string{"a\x00b"}}, "command_invalid"},
			{nixspace.Command{Argv: []string{"true"}, Dir: "/no/such/dir"}, "dir_not_found"},
			{nixspace.Command{Argv: []string{"true"}, Env: map[string]string{"A=B": "c"}}, "env_invalid"},
		} {
			if c.cmd.Dir == "" {
				c.cmd.Dir = g.Dir
			}
			_, err := g.Exec(patient(t), c.cmd)
			wantCode(t, strings.Join(c.cmd.Argv, " "), err, c.code)
		}
	})
	t.Run("a script without an interpreter line", func(t *testing.T) {
		g.sh(t, `cd "$1" && echo 'echo script $1' >script && chmod +x script`, g.Dir)
		if got := g.run(t, nixspace.Command{Argv: []string{"./script", "x"}}, ""); got.stdout != "script x\n" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("signals", func(t *testing.T) {
		p := g.start(t, nixspace.Command{Argv: []string{"sh", "-c", "echo up; while :; do sleep 0.1; done"}})
		awaitLine(t, p.Stdout(), "up")
		if err := p.Signal("SIGINT"); err != nil {
			t.Fatal(err)
		}
		if code, err := p.Wait(); code != 130 || err != nil {
			t.Errorf("exit code %d, %v", code, err)
		}
	})
	t.Run("a signal passes input that nobody reads", func(t *testing.T) {
		p := g.start(t, nixspace.Command{Argv: []string{"sh", "-c", "echo up; sleep 1000"}})
		awaitLine(t, p.Stdout(), "up")
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			_, _ = p.Stdin().Write(make([]byte, 4<<20))
		}()
		if err := p.Signal("KILL"); err != nil {
			t.Fatal(err)
		}
		if code, err := p.Wait(); code != 137 || err != nil {
			t.Errorf("exit code %d, %v", code, err)
		}
		<-wrote
	})
	t.Run("its process group ends with the stream", func(t *testing.T) {
		// The two hold a pipe open; its reader sees the end only when both are gone.
		g.sh(t, `cd "$1" && rm -f group && mkfifo group`, g.Dir)
		p := g.start(t, nixspace.Command{Argv: []string{"sh", "-c", "exec 3>group; trap '' TERM; sleep 1000 & echo up; while :; do wait; done"}})
		reader := g.start(t, nixspace.Command{Argv: []string{"sh", "-c", "cat group; echo end"}})
		awaitLine(t, p.Stdout(), "up")
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		awaitLine(t, reader.Stdout(), "end")
	})
	t.Run("what a command leaves running does not hold it", func(t *testing.T) {
		got := g.run(t, nixspace.Command{Argv: []string{"sh", "-c", "sleep 1000 & echo $!"}}, "")
		if got.code != 0 {
			t.Fatalf("%+v", got)
		}
		g.sh(t, `kill -0 "$1" && kill "$1"`, strings.TrimSpace(got.stdout))
	})
	t.Run("orphans are reaped", func(t *testing.T) {
		// A zombie is still there for kill; one that was reaped is not.
		pid := g.sh(t, `sh -c 'sleep 0.01 >/dev/null 2>&1 & echo $!'`)
		g.sh(t, `while kill -0 "$1" 2>/dev/null; do sleep 0.05; done`, pid)
	})
	t.Run("many at once", func(t *testing.T) {
		for i := range 8 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for range 5 {
					if got := g.run(t, nixspace.Command{Argv: []string{"sh", "-c", "cat; exit $1", "sh", string(rune('0' + i))}}, "hello"); got.stdout != "hello" || got.code != i {
						t.Errorf("%+v", got)
					}
				}
			})
		}
	})
}

func testTerminal(t *testing.T, g *guest) {
	t.Run("it is one", func(t *testing.T) {
		p := g.start(t, nixspace.Command{
			Argv: []string{"sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size && echo term=$TERM && : </dev/tty && exit 3"},
			TTY:  true, Cols: 132, Rows: 43, Term: "vt100",
		})
		out, err := io.ReadAll(p.Stdout())
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(string(out), "\r", ""); got != "43 132\nterm=vt100\n" {
			t.Errorf("%q", got)
		}
		if rest, err := io.ReadAll(p.Stderr()); len(rest) > 0 || err != nil {
			t.Errorf("stderr: %q, %v", rest, err)
		}
		if code, err := p.Wait(); code != 3 || err != nil {
			t.Errorf("exit code %d, %v", code, err)
		}
	})
	t.Run("its size changes", func(t *testing.T) {
		p := g.start(t, nixspace.Command{
			Argv: []string{"sh", "-c", "trap 'stty size; exit' WINCH; echo up; while :; do sleep 0.05; done"},
			TTY:  true, Cols: 80, Rows: 24,
		})
		awaitLine(t, p.Stdout(), "up")
		if err := p.Resize(101, 31); err != nil {
			t.Fatal(err)
		}
		awaitLine(t, p.Stdout(), "31 101")
	})
	t.Run("keys are signals and an end of file", func(t *testing.T) {
		p := g.start(t, nixspace.Command{Argv: []string{"sh", "-c", "trap 'echo interrupted' INT; echo up; cat; echo over"}, TTY: true, Cols: 80, Rows: 24})
		awaitLine(t, p.Stdout(), "up")
		if _, err := io.WriteString(p.Stdin(), "typed\n"); err != nil {
			t.Fatal(err)
		}
		awaitLine(t, p.Stdout(), "typed") // the echo
		awaitLine(t, p.Stdout(), "typed")
		if _, err := io.WriteString(p.Stdin(), "\x03"); err != nil {
			t.Fatal(err)
		}
		awaitLine(t, p.Stdout(), "interrupted")
		awaitLine(t, p.Stdout(), "over")
		if code, err := p.Wait(); code != 0 || err != nil {
			t.Errorf("exit code %d, %v", code, err)
		}
	})
	t.Run("closing the input ends it", func(t *testing.T) {
		p := g.start(t, nixspace.Command{Argv: []string{"sh", "-c", "stty -echo; echo up; cat; echo over"}, TTY: true, Cols: 80, Rows: 24})
		awaitLine(t, p.Stdout(), "up")
		if err := p.Stdin().Close(); err != nil {
			t.Fatal(err)
		}
		awaitLine(t, p.Stdout(), "over")
	})
	t.Run("a signal reaches the foreground", func(t *testing.T) {
		p := g.start(t, nixspace.Command{Argv: []string{"sh", "-mc", "sh -c 'trap \"echo caught; exit 5\" USR1; echo up; while :; do sleep 0.05; done'; echo code $?"}, TTY: true, Cols: 80, Rows: 24})
		awaitLine(t, p.Stdout(), "up")
		if err := p.Signal("SIGUSR1"); err != nil {
			t.Fatal(err)
		}
		awaitLine(t, p.Stdout(), "caught")
		awaitLine(t, p.Stdout(), "code 5")
	})
	t.Run("it hangs up with the stream", func(t *testing.T) {
		g.sh(t, `cd "$1" && rm -f hup && mkfifo hup`, g.Dir)
		p := g.start(t, nixspace.Command{Argv: []string{"sh", "-c", "exec 3>hup; echo up; sleep 1000"}, TTY: true, Cols: 80, Rows: 24})
		reader := g.start(t, nixspace.Command{Argv: []string{"sh", "-c", "cat hup; echo end"}})
		awaitLine(t, p.Stdout(), "up")
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		awaitLine(t, reader.Stdout(), "end")
	})
}

func testFlow(t *testing.T, g *guest) {
	const size = 32 << 20
	big := nixspace.Command{Argv: []string{"sh", "-c", "head -c $1 /dev/zero", "sh", "33554432"}}
	t.Run("a slow reader holds nobody else", func(t *testing.T) {
		slow := g.start(t, big)
		for range 3 {
			if got := g.sh(t, "echo quick"); got != "quick" {
				t.Errorf("%q", got)
			}
		}
		if got := g.run(t, big, ""); len(got.stdout) != size {
			t.Errorf("%d bytes", len(got.stdout))
		}
		n, err := io.Copy(io.Discard, slow.Stdout())
		if n != size || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if code, err := slow.Wait(); code != 0 || err != nil {
			t.Error(code, err)
		}
	})
	t.Run("one output may be read after the other", func(t *testing.T) {
		p := g.start(t, nixspace.Command{Argv: []string{"sh", "-c", "head -c 50000 /dev/zero >&2; head -c 50000 /dev/zero"}})
		out, err := io.ReadAll(p.Stdout())
		if len(out) != 50000 || err != nil {
			t.Errorf("stdout: %d bytes, %v", len(out), err)
		}
		errOut, err := io.ReadAll(p.Stderr())
		if len(errOut) != 50000 || err != nil {
			t.Errorf("stderr: %d bytes, %v", len(errOut), err)
		}
	})
	t.Run("all output comes before the exit code", func(t *testing.T) {
		for range 10 {
			p := g.start(t, nixspace.Command{Argv: []string{"sh", "-c", "head -c 60000 /dev/zero; exit 4"}})
			if code, err := p.Wait(); code != 4 || err != nil {
				t.Error(code, err)
			}
			if out, err := io.ReadAll(p.Stdout()); len(out) != 60000 || err != nil {
				t.Errorf("%d bytes, %v", len(out), err)
			}
		}
	})
	t.Run("both directions at once", func(t *testing.T) {
		p := g.start(t, nixspace.Command{Argv: []string{"cat"}})
		data := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
		go func() {
			for range 8 {
				_, _ = p.Stdin().Write(data)
			}
			_ = p.Stdin().Close()
		}()
		for i := range 8 {
			got := make([]byte, len(data))
			if _, err := io.ReadFull(p.Stdout(), got); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("part %d differs, %v", i, err)
			}
		}
	})
}
