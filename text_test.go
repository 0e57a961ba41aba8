package nixspace

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"node server.js":     "node server.js",
		"a\nb\tc\x1b[2Jd":    "abc[2Jd",
		"\xff\xfeé\u009bm":   "ém",
		"12345678901234567é": "1234567890123456",
		"123456789012345é":   "123456789012345",
	} {
		if got := OneLine(in, 16); got != want {
			t.Errorf("OneLine(%q) is %q, not %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 20).Draw(t, "limit")
		got := OneLine(rapid.String().Draw(t, "s"), limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q", got)
		}
	})
}
