package nixspace

import "strings"

// OneLine returns foreign text as people may see it: without control characters and
// what is not UTF-8, so that it can neither drive a terminal nor begin a line, and at
// most limit bytes of it.
func OneLine(s string, limit int) string {
	if len(s) > 4*limit { // what is left out of a long text need not be looked at
		s = s[:4*limit]
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffd {
			return -1
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}
