package main

import "testing"

func TestTestCounts(t *testing.T) {
	for _, c := range []struct {
		name, out      string
		passed, failed int
	}{
		{"TAP", "TAP version 13\nok 1 - cart\n1..1\n# tests 4\n# pass 3\n# fail 1\n", 3, 1},
		{"spec", "✔ cart (3ms)\nℹ tests 12\nℹ pass 12\nℹ fail 0\n", 12, 0},
		{"none", "sh: node: not found\n", 0, 0},
		{"a test that is named like the summary", "ok 1 - # pass 99 of them\n# pass 1\n# fail 0\n", 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			passed, failed := testCounts(c.out)
			if passed != c.passed || failed != c.failed {
				t.Errorf("got %d passed, %d failed, want %d and %d", passed, failed, c.passed, c.failed)
			}
		})
	}
}
