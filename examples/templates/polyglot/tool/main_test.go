package main

import "testing"

func TestTable(t *testing.T) {
	if got, want := table([]string{"tea", "3", "cake", "4"}), "cake                 4\ntea                  3\n"; got != want {
		t.Errorf("got %q", got)
	}
	if got := table([]string{""}); got != "" {
		t.Errorf("nothing makes %q", got)
	}
}
