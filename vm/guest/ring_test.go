package guest

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRingKeepsTheLastBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 64).Draw(t, "size")
		r := ring{size: size}
		var all []byte
		for range rapid.IntRange(1, 20).Draw(t, "writes") {
			p := rapid.SliceOfN(rapid.Byte(), 0, 150).Draw(t, "p")
			r.write(p)
			all = append(all, p...)
			if r.end != int64(len(all)) || r.start() != int64(max(0, len(all)-size)) {
				t.Fatalf("after %d bytes it has %d to %d", len(all), r.start(), r.end)
			}
			from := rapid.Int64Range(r.start(), r.end).Draw(t, "from")
			limit := rapid.IntRange(0, 100).Draw(t, "limit")
			want := all[from:min(len(all), int(from)+limit)]
			if got := r.from(from, limit); !bytes.Equal(got, want) {
				t.Fatalf("from %d: %q, not %q", from, got, want)
			}
			if at, _ := r.replay(limit); at < r.start() || at > r.end {
				t.Fatalf("a replay begins at %d of %d to %d", at, r.start(), r.end)
			}
		}
	})
}

func TestReplayBeginsWithALineAndItsModes(t *testing.T) {
	r := ring{size: 100}
	r.write([]byte("\x1b[?1049h\x1b[?25l\x1b[?2004h" + strings.Repeat("x", 100) + "\nlast line"))
	at, prelude := r.replay(50)
	if got := string(r.from(at, 100)); got != "last line" {
		t.Errorf("it begins with %q", got)
	}
	if prelude != "\x1b[?25l\x1b[?1049h\x1b[?2004h" {
		t.Errorf("the prelude is %q", prelude)
	}
	r.write([]byte("\x1b[?1049;25l\x1b[?25h" + strings.Repeat("y", 100) + "\nz"))
	if _, prelude := r.replay(50); prelude != "\x1b[?2004h" {
		t.Errorf("the prelude is %q", prelude)
	}
	r.write([]byte("\x1bc" + strings.Repeat("y", 120) + "é"))
	at, prelude = r.replay(1)
	if rest := r.from(at, 10); prelude != "" || len(rest) != 0 {
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

func TestListeningPortsAreRead(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 101 1 0 100 0 0 10 0
   1: 00000000:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 102 1 0
   2: 0200000A:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 103 1 0
   3: 0100007F:9C40 0100007F:1538 01 00000000:00000000 00:00000000 00000000  1000        0 104 1 0
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 105 1
   0: 0000000000000000FFFF00000100007F:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 106 1
   x: zz 0A
`
	got := map[string]int{}
	readListening(strings.NewReader(table), got)
	want := map[string]int{"101": 5432, "102": 3000, "105": 8080, "106": 8081}
	if len(got) != len(want) {
		t.Fatalf("%v, not %v", got, want)
	}
	for inode, port := range want {
		if got[inode] != port {
			t.Errorf("socket %s: port %d, not %d", inode, got[inode], port)
		}
	}
}

func FuzzListening(f *testing.F) {
	f.Add([]byte("   0: 0100007F:1538 00000000:0000 0A 0:0 0:0 0  1000        0 101 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := map[string]int{}
		readListening(bytes.NewReader(b), got)
		for inode, port := range got {
			if port < 1 || port > 65535 {
				t.Errorf("socket %q listens on %d", inode, port)
			}
		}
	})
}
