package history

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
)

func TestParseRef(t *testing.T) {
	first := func(n int) Step { return Step{Parent: 1, Times: n} }
	second := Step{Parent: 2, Times: 1}
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]Ref{
		"shop":                       {Base: "shop"},
		"shop/pg13":                  {Base: "shop/pg13"},
		"9f3c01":                     {Base: "9f3c01"},
		"v1.0":                       {Base: "v1.0"},
		"shop~2":                     {Base: "shop", Steps: []Step{first(2)}},
		"shop~":                      {Base: "shop", Steps: []Step{first(1)}},
		"shop^":                      {Base: "shop", Steps: []Step{first(1)}},
		"shop^^2~3":                  {Base: "shop", Steps: []Step{first(1), second, first(3)}},
		"shop^0":                     {Base: "shop", Steps: []Step{first(0)}},
		"shop@{1}":                   {Base: "shop", At: &At{Moves: 1}},
		"shop@{0}~1":                 {Base: "shop", At: &At{}, Steps: []Step{first(1)}},
		"shop@{yesterday}":           {Base: "shop", At: &At{When: When{Days: 1}}},
		"shop@{2 days ago}":          {Base: "shop", At: &At{When: When{Days: 2}}},
		"shop@{2.days.ago}":          {Base: "shop", At: &At{When: When{Days: 2}}},
		"shop@{an hour ago}":         {Base: "shop", At: &At{When: When{Ago: time.Hour}}},
		"shop@{3 weeks ago}":         {Base: "shop", At: &At{When: When{Days: 21}}},
		"shop@{2026-11-01}":          {Base: "shop", At: &At{When: When{Instant: day}}},
		"shop@{2026-11-01 14:30}^2":  {Base: "shop", At: &At{When: When{Instant: day.Add(14*time.Hour + 30*time.Minute)}}, Steps: []Step{second}},
		"a/b@{2026-11-01T00:00:00Z}": {Base: "a/b", At: &At{When: When{Instant: day}}},
	} {
		got, err := ParseRef(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{
		"", "~1", "@{1}", "a/b/c", "a b", "shop~1@{1}", "shop@1", "shop@{1", "shop@{}", "shop@{tomorrow}", "shop@{-1}", "shop@{+1}",
		"shop@{0 days ago}", "shop^3", "shop~99999999999", "shop~1000001", "shop@{2026-13-01}", "shop@{1}@{2}", "shop~x", "ä",
		strings.Repeat("^", maxSteps+1), "shop" + strings.Repeat("^", maxSteps+1), strings.Repeat("x", 400), "/x", "x/",
	} {
		if got, err := ParseRef(text); nixspace.ErrorCode(err) != "reference_invalid" {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func TestWhen(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for expr, want := range map[string]string{
		"yesterday":        "2026-11-23T12:00:00Z",
		"2 days ago":       "2026-11-22T12:00:00Z",
		"90 minutes ago":   "2026-11-24T10:30:00Z",
		"1 month ago":      "2026-10-24T12:00:00Z",
		"a year ago":       "2025-11-24T12:00:00Z",
		"2026-11-01":       "2026-11-01T00:00:00Z",
		"2026-11-01 01:02": "2026-11-01T01:02:00Z",
	} {
		w, err := parseWhen(expr)
		if got := w.Time(now).Format(time.RFC3339); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", expr, got, err, want)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"shop~2^2", "shop@{yesterday}", "a/b@{2026-11-01 10:00}~", "shop@{", "@{1}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			if nixspace.ErrorCode(err) != "reference_invalid" {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if !basePattern.MatchString(r.Base) || !strings.HasPrefix(s, r.Base) || len(r.Steps) > maxSteps {
			t.Fatalf("%q: %+v", s, r)
		}
		for _, step := range r.Steps {
			if step.Parent < 1 || step.Parent > 2 || step.Times < 0 || step.Times > maxCount {
				t.Fatalf("%q: %+v", s, r)
			}
		}
		if r.At != nil {
			r.At.When.Time(time.Unix(0, 0)) // must not panic
		}
	})
}
