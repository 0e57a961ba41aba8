package listening

import (
	"bytes"
	"strings"
	"testing"
)

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
