package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestALogKeepsItsLastBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewLog()
		var all strings.Builder
		for range rapid.IntRange(1, 12).Draw(t, "writes") {
			p := strings.Repeat(string(rune('a'+rapid.IntRange(0, 25).Draw(t, "letter"))), rapid.IntRange(0, Memory*3/2).Draw(t, "length"))
			all.WriteString(p)
			if n, err := l.Write([]byte(p)); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
		}
		var got strings.Builder
		offset := int64(0)
		for {
			p, next, _ := l.From(offset, 10_000)
			if len(p) == 0 {
				break
			}
			got.Write(p)
			offset = next
		}
		if !strings.HasSuffix(all.String(), got.String()) || got.Len() < min(all.Len(), Memory) || got.Len() > 2*Memory {
			t.Fatalf("of %d bytes %d are left, or others", all.Len(), got.Len())
		}
	})
}

func TestALogIsAFileOfBoundedSize(t *testing.T) {
	dir := t.TempDir()
	j := New()
	l := j.Open("web")
	_, _ = l.Write([]byte("before the disk\n"))
	j.Keep(dir)
	line := strings.Repeat("x", 999) + "\n"
	for range 3 * FileSize / len(line) {
		_, _ = l.Write([]byte(line))
	}
	_, _ = l.Write([]byte("the last line\n"))
	j.Close()
	for _, name := range []string{"web.log", "web.log.1"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Size() > FileSize {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	again := New()
	again.Keep(dir)
	defer again.Close()
	if got := again.Open("web").Last(2, 5000); got != strings.TrimSuffix(line, "\n")+"\nthe last line" {
		t.Errorf("after a restart the log ends with %.40q… of %d bytes", got, len(got))
	}
}
