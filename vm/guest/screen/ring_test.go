package screen

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRingKeepsTheLastBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 64).Draw(t, "size")
		r := *New(size)
		var all []byte
		for range rapid.IntRange(1, 20).Draw(t, "writes") {
			p := rapid.SliceOfN(rapid.Byte(), 0, 150).Draw(t, "p")
			r.Append(p)
			all = append(all, p...)
			if r.end != int64(len(all)) || r.Start() != int64(max(0, len(all)-size)) {
				t.Fatalf("after %d bytes it has %d to %d", len(all), r.Start(), r.end)
			}
			from := rapid.Int64Range(r.Start(), r.end).Draw(t, "from")
			limit := rapid.IntRange(0, 100).Draw(t, "limit")
			want := all[from:min(len(all), int(from)+limit)]
			if got := r.From(from, limit); !bytes.Equal(got, want) {
				t.Fatalf("from %d: %q, not %q", from, got, want)
			}
			if at, _ := r.Replay(limit); at < r.Start() || at > r.end {
				t.Fatalf("a replay begins at %d of %d to %d", at, r.Start(), r.end)
			}
		}
	})
}

func TestReplayBeginsWithALineAndItsModes(t *testing.T) {
	r := *New(100)
	r.Append([]byte("\x1b[?1049h\x1b[?25l\x1b[?2004h" + strings.Repeat("x", 100) + "\nlast line"))
	at, prelude := r.Replay(50)
	if got := string(r.From(at, 100)); got != "last line" {
		t.Errorf("it begins with %q", got)
	}
	if prelude != "\x1b[?25l\x1b[?1049h\x1b[?2004h" {
		t.Errorf("the prelude is %q", prelude)
	}
	r.Append([]byte("\x1b[?1049;25l\x1b[?25h" + strings.Repeat("y", 100) + "\nz"))
	if _, prelude := r.Replay(50); prelude != "\x1b[?2004h" {
		t.Errorf("the prelude is %q", prelude)
	}
	r.Append([]byte("\x1bc" + strings.Repeat("y", 120) + "é"))
	at, prelude = r.Replay(1)
	if rest := r.From(at, 10); prelude != "" || len(rest) != 0 {
		t.Errorf("%q, prelude %q: half a character", rest, prelude)
	}
}

func FuzzModes(f *testing.F) {
	f.Add([]byte("\x1b[?1049h\x1b[?25l"), uint8(3))
	f.Add([]byte("\x1b[?;;1h\x1bc\x1b[31m\x1b[?99999999999999999999h"), uint8(9))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		var whole, parts modes
		whole.scan(b)
		at := min(int(cut), len(b))
		parts.scan(b[:at])
		parts.scan(b[at:])
		if whole.String() != parts.String() {
			t.Errorf("in parts it is %q, not %q", parts.String(), whole.String())
		}
		var again modes
		again.scan([]byte(whole.String()))
		if again.String() != whole.String() {
			t.Errorf("%q sets %q", whole.String(), again.String())
		}
	})
}
