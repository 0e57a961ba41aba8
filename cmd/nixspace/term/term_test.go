package term

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
)

func none(string) string { return "" }

func TestPlain(t *testing.T) {
	var b bytes.Buffer
	d := New(&b, none)
	d.Report(nixspace.Progress{Job: "postgresql_15", Phase: "fetch", Done: 1, Total: 2048, Unit: "B"})
	d.Report(nixspace.Progress{Job: "postgresql_15", Phase: "fetch", Done: 1024, Total: 2048, Unit: "B"})
	d.Report(nixspace.Progress{Job: "postgresql_15", Phase: "fetch", Done: 2048, Total: 2048, Unit: "B", Final: true})
	d.Report(nixspace.Progress{Job: "postgresql_15", Phase: "build", Log: "a line of the log"})
	d.Report(nixspace.Progress{Job: "postgresql_15", Phase: "build"})
	d.Report(nixspace.Progress{Job: "postgresql_15", Phase: "build", Final: true})
	d.Status("shop/1", "boot")
	d.Status("shop/1", "boot")
	d.Done("shop/1", "shop/1 runs")
	d.Printf("%s", "the end")
	d.Close()
	want := "postgresql_15: fetch\npostgresql_15: fetch done, 2.0 KiB\npostgresql_15: build\npostgresql_15: build done\nshop/1: boot\nshop/1 runs\nthe end\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestNothingIsShownOnNil(t *testing.T) {
	var d *Display
	d.Report(nixspace.Progress{Job: "a"})
	d.Status("a", "b")
	d.Done("a", "b")
	d.Forget("a")
	d.Printf("x")
	d.Close()
	var b bytes.Buffer
	if _, err := d.Through(&b).Write([]byte("out\n")); err != nil || b.String() != "out\n" || d.Bold("x") != "x" {
		t.Errorf("output did not pass: %q, %v", b.String(), err)
	}
}

// screen is a terminal: it keeps lines and understands what a display sends.
type screen struct {
	mu    sync.Mutex
	lines []string
	row   int
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, rest := byte(0), string(p)
	for len(rest) > 0 {
		seq, _, n, next := ansi.DecodeSequence(rest, state, nil)
		state, rest = next, rest[n:]
		for len(s.lines) <= s.row {
			s.lines = append(s.lines, "")
		}
		switch {
		case seq == "\n":
			s.row++
		case seq == "\r":
		case seq == "\x1b[J":
			s.lines = s.lines[:s.row]
		case strings.HasPrefix(seq, "\x1b[") && strings.HasSuffix(seq, "A"):
			n := 0
			for _, c := range seq[2 : len(seq)-1] {
				n = n*10 + int(c-'0')
			}
			s.row = max(0, s.row-n)
		case strings.HasPrefix(seq, "\x1b"): // colours
		default:
			s.lines[s.row] += seq
		}
	}
	return len(p), nil
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func liveOn(s *screen, cols, rows int) *Display {
	return &Display{w: s, live: true, size: func() (int, int) { return cols, rows }, stop: make(chan struct{}), done: closed()}
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestLive(t *testing.T) {
	s := &screen{}
	d := liveOn(s, 80, 24)
	d.Printf("first")
	d.Report(nixspace.Progress{Job: "nodejs_22", Phase: "fetch", Done: 512, Total: 1024, Unit: "B"})
	d.Status("shop/1", "boot \x1b[2J\x07now")
	d.redraw("")
	if got := s.text(); !strings.Contains(got, "nodejs_22") || !strings.Contains(got, "50%") || !strings.Contains(got, "shop/1") || strings.Contains(got, "\x07") {
		t.Errorf("screen:\n%s", got)
	}
	if _, err := d.Through(s).Write([]byte("output of a program\n")); err != nil {
		t.Fatal(err)
	}
	d.Done("shop/1", "shop/1 runs")
	if got := s.text(); !strings.HasPrefix(got, "first\noutput of a program\nshop/1 runs\n") || strings.Count(got, "nodejs_22") != 1 {
		t.Errorf("screen:\n%s", got)
	}
	d.Close()
	if got := strings.TrimRight(s.text(), "\n"); got != "first\noutput of a program\nshop/1 runs" {
		t.Errorf("after the end:\n%s", got)
	}
}

// TestLiveRegion checks that whatever is reported, what was printed stays whole
// and in order, and the region fits the screen.
func TestLiveRegion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &screen{}
		cols, rows := rapid.IntRange(10, 100).Draw(t, "cols"), rapid.IntRange(2, 30).Draw(t, "rows")
		d := liveOn(s, cols, rows)
		var printed []string
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			name := rapid.StringMatching(`[a-z]{1,30}`).Draw(t, "job")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				total := rapid.Int64Range(0, 1<<40).Draw(t, "total")
				d.Report(nixspace.Progress{Job: name, Phase: "fetch", Done: rapid.Int64Range(0, 1<<41).Draw(t, "done"), Total: total, Unit: "B", Final: rapid.Bool().Draw(t, "final")})
			case 1:
				d.Status(name, rapid.String().Draw(t, "text"))
			case 2:
				line := rapid.StringMatching(`[A-Z]{1,8}`).Draw(t, "line")
				d.Printf("%s", line)
				printed = append(printed, line)
			case 3:
				d.Forget(name)
			case 4:
				d.redraw("")
				region := d.lines()
				if len(region) > max(2, rows-2) {
					t.Fatalf("the region has %d lines on a screen of %d", len(region), rows)
				}
				for _, l := range region {
					if w := ansi.StringWidth(l); w > max(cols, 40) {
						t.Fatalf("a line of the region is %d wide on a screen of %d: %q", w, cols, l)
					}
				}
			}
		}
		d.Close()
		if got, want := strings.TrimRight(s.text(), "\n"), strings.Join(printed, "\n"); got != want {
			t.Fatalf("screen:\n%s\nwant:\n%s", got, want)
		}
	})
}

func TestPrefixed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a-z ]{0,10}\n){0,5}[a-z]{0,10}`).Draw(t, "text")
		var b bytes.Buffer
		p := NewPrefixed(&b, "x │ ")
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			if _, err := p.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		want := ""
		for line := range strings.Lines(text) {
			want += "x │ " + strings.TrimSuffix(line, "\n") + "\n"
		}
		if b.String() != want {
			t.Fatalf("got %q, want %q", b.String(), want)
		}
	})
}

func TestAmounts(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 30: "5.0 GiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{150 * time.Millisecond: "150 ms", 2440 * time.Millisecond: "2.4 s", 72 * time.Second: "1 min 12 s"} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestReaderShowsWhatWasRead(t *testing.T) {
	var out strings.Builder
	d := New(&out, func(string) string { return "" })
	got, err := io.ReadAll(d.Reader(strings.NewReader("0123456789"), "shop", "receive", 10))
	if err != nil || string(got) != "0123456789" {
		t.Errorf("read %q, %v", got, err)
	}
	d.Close()
	if want := "shop: receive\nshop: receive done, 10 B\n"; out.String() != want {
		t.Errorf("shown:\n%swant:\n%s", out.String(), want)
	}
	var none *Display
	if r := strings.NewReader(""); none.Reader(r, "", "", 0) != r {
		t.Error("without a display the reader is another one")
	}
}
