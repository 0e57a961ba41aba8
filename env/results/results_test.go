package results_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/results"
)

var printed = map[string]string{
	"junit": `noise before
<?xml version="1.0"?>
<testsuites><testsuite name="s"><testcase classname="api" name="adds" time="0.25"/>
<testcase classname="api" name="divides" time="1"><failure message="by zero">trace</failure></testcase>
<testcase name="later"><skipped/></testcase></testsuite></testsuites>`,
	"jest": `{"numFailedTestSuites":1,"numTotalTestSuites":1,"testResults":[{"name":"/workspace/a.test.js","assertionResults":[
{"fullName":"api adds","status":"passed","duration":250},
{"fullName":"api divides","status":"failed","duration":1000,"failureMessages":["by zero\ntrace"]},
{"title":"later","status":"pending"}]}]}`,
	"go": `{"Time":"2026-01-01T00:00:00Z","Action":"run","Package":"p","Test":"TestAdds"}
{"Action":"output","Package":"p","Test":"TestAdds","Output":"ok 1\n"}
{"Action":"pass","Package":"p","Test":"TestAdds","Elapsed":0.25}
not json
{"Action":"fail","Package":"p","Test":"TestDivides","Elapsed":1}
{"Action":"skip","Package":"p","Test":"TestLater","Elapsed":0}
{"Action":"fail","Package":"p","Elapsed":1.3}`,
	"tap": `TAP version 13
# Subtest: api
    ok 1 - adds
      ---
      duration_ms: 250
      ...
    not ok 2 - divides
    1..2
not ok 1 - api
ok 2 - later # SKIP no time
1..2`,
}

func TestTests(t *testing.T) {
	want := map[string][]results.Test{
		"junit": {{"api/adds", "passed", 0.25, ""}, {"api/divides", "failed", 1, "by zero"}, {"later", "skipped", 0, ""}},
		"jest":  {{"a.test.js/api adds", "passed", 0.25, ""}, {"a.test.js/api divides", "failed", 1, "by zero"}, {"a.test.js/later", "skipped", 0, ""}},
		"go":    {{"p/TestAdds", "passed", 0.25, ""}, {"p/TestDivides", "failed", 1, ""}, {"p/TestLater", "skipped", 0, ""}, {"p", "failed", 1.3, ""}},
		"tap":   {{"adds", "passed", 0.25, ""}, {"divides", "failed", 0, ""}, {"api", "failed", 0, ""}, {"later", "skipped", 0, ""}},
	}
	for format, text := range printed {
		got := results.Tests([]byte(text))
		if got.Format != format || !reflect.DeepEqual(got.Tests, want[format]) {
			t.Errorf("%s: %+v", format, got)
		}
	}
	for _, other := range []string{"", "ok then\nnot ok either", "{}", "<html></html>", `{"a":1}`, "hello"} {
		if got := results.Tests([]byte(other)); got.Format != "" || got.Tests != nil {
			t.Errorf("%q: %+v", other, got)
		}
	}
}

func TestNumbers(t *testing.T) {
	patterns := func(ss ...string) (out []results.Pattern) {
		for _, s := range ss {
			p, err := results.ParsePattern(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, p)
		}
		return out
	}
	for _, c := range []struct {
		name, output string
		patterns     []results.Pattern
		want         []results.Number
	}{
		{
			"pgbench", "scaling factor: 1\nlatency average = 2.500 ms\ntps = 400.125 (without initial connection time)\n", nil,
			[]results.Number{{"pgbench tps", 400.125, "tps"}, {"pgbench latency", 2.5, "ms"}},
		},
		{
			"go", "goos: linux\nBenchmarkSum-8   \t 1000\t  1234 ns/op\t  16 B/op\nPASS\n", nil,
			[]results.Number{{"BenchmarkSum ns/op", 1234, "ns/op"}, {"BenchmarkSum B/op", 16, "B/op"}},
		},
		{"hyperfine", `{"results":[{"command":"sleep 1","mean":1.1,"median":1.05}]}`, nil, []results.Number{{"hyperfine sleep 1", 1.05, "s"}}},
		{"regexp", "done: 1,250 requests\n", patterns(`requests=/done: ([0-9,]+)/`), []results.Number{{"requests", 1250, ""}}},
		{"path", `{"a":[{"b":"7.5"}]}`, patterns("b=.a.0.b", "none=.a.1.b"), []results.Number{{"b", 7.5, ""}}},
		{"nothing", "nothing to see", patterns("x=/y/"), nil},
	} {
		if got := results.Numbers([]byte(c.output), c.patterns); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	for _, s := range []string{"", "x", "=/a/", "x=a", "x=/(/", "x=" + strings.Repeat("/", 600)} {
		if _, err := results.ParsePattern(s); nixspace.ErrorCode(err) != "pattern_invalid" {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzResults(f *testing.F) {
	for _, text := range printed {
		f.Add([]byte(text))
	}
	f.Add([]byte("tps = 1 (\nBenchmarkX 1 2 ns/op"))
	p, err := results.ParsePattern("a=.b.0")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := results.Tests(b)
		names := map[string]bool{}
		for _, one := range r.Tests {
			if one.Name == "" || names[one.Name] || !utf8.ValidString(one.Name+one.Detail) || strings.ContainsAny(one.Name, "\x00\n") {
				t.Errorf("bad test %+v", one)
			}
			names[one.Name] = true
		}
		for _, n := range results.Numbers(b, []results.Pattern{p}) {
			if n.Value != n.Value || !utf8.ValidString(n.Name) {
				t.Errorf("bad number %+v", n)
			}
		}
	})
}

func TestCompare(t *testing.T) {
	reports := []results.Report{
		{Format: "go", Tests: []results.Test{{"a", "passed", 1, ""}, {"b", "passed", 1, ""}, {"c", "failed", 0, "why"}}},
		{}, // a command without tests
		{Format: "go", Tests: []results.Test{{"a", "passed", 2, ""}, {"b", "failed", 1, "no"}, {"c", "failed", 0, ""}, {"d", "passed", 0, ""}}},
	}
	got := results.Compare([]string{"x", "y", "z"}, reports)
	if got == nil || got.Passed != 1 || len(got.Rows) != 3 {
		t.Fatalf("%+v", got)
	}
	var rows []string
	for _, r := range got.Rows {
		rows = append(rows, r.Name+" "+string(r.Statuses[0])+","+string(r.Statuses[1])+","+string(r.Statuses[2])+" "+r.Detail)
	}
	want := []string{"b passed,,failed no", "d ,,passed ", "c failed,,failed why"}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("%q", rows)
	}
	if results.Compare([]string{"y"}, reports[1:2]) != nil {
		t.Error("a table of nothing")
	}
}
