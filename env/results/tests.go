// Package results reads what programs print about their tests and measurements:
// JUnit XML, TAP, the JSON of "go test -json" and of Jest; the output of pgbench,
// hyperfine and Go benchmarks, and numbers that a regular expression or a path into
// JSON finds.
//
// What it reads comes from programs that people run, so it is bounded, and never an
// error: what is not recognised is left out. The package is pure; its functions may
// be called by many goroutines at once.
package results

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Status is how a test ended.
type Status string

// The states of tests.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Test is one test.
type Test struct {
	Name    string  `json:"name"` // with its suite, such as "pkg/TestName"
	Status  Status  `json:"status"`
	Seconds float64 `json:"seconds"`          // 0 where it is not known
	Detail  string  `json:"detail,omitempty"` // the first line of why it failed
}

// Report is what was recognised.
type Report struct {
	Format string `json:"format"` // "junit", "tap", "go", "jest"; empty for nothing
	Tests  []Test `json:"tests"`
	Cut    bool   `json:"cut"` // there were more than are kept
}

const (
	maxTests = 20_000
	maxName  = 400
	maxLine  = 1 << 20
)

// Tests recognises the results of tests in what a program printed.
func Tests(output []byte) Report {
	var c collector
	trimmed := bytes.TrimSpace(output)
	switch {
	case len(trimmed) == 0:
	case trimmed[0] == '<' && c.junit(trimmed):
		c.Format = "junit"
	case trimmed[0] == '{' && c.jest(trimmed):
		c.Format = "jest"
	case c.gotest(trimmed):
		c.Format = "go"
	case c.tap(trimmed):
		c.Format = "tap"
	default:
		// Reports are often printed after other words.
		for _, mark := range []string{"<?xml", "<testsuites", "<testsuite", `{"numFailedTestSuites"`} {
			at := bytes.Index(trimmed, []byte(mark))
			if at < 0 {
				continue
			}
			if mark[0] == '<' && c.junit(trimmed[at:]) {
				c.Format = "junit"
			} else if mark[0] == '{' && c.jest(trimmed[at:]) {
				c.Format = "jest"
			}
			break
		}
	}
	if c.Format == "" {
		return Report{}
	}
	return c.Report
}

type collector struct {
	Report
	seen map[string]int
}

// add keeps a test. Of several of one name the worst is kept, as one of them is what
// broke.
func (c *collector) add(t Test) {
	t.Name, t.Detail = clean(t.Name), clean(firstLine(t.Detail))
	if t.Name == "" {
		return
	}
	if t.Seconds < 0 || t.Seconds > 1e9 || t.Seconds != t.Seconds {
		t.Seconds = 0
	}
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	if i, again := c.seen[t.Name]; again {
		if t.Status == Failed || c.Tests[i].Status == Skipped {
			c.Tests[i] = t
		}
		return
	}
	if len(c.Tests) == maxTests {
		c.Cut = true
		return
	}
	c.seen[t.Name] = len(c.Tests)
	c.Tests = append(c.Tests, t)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// clean makes a text of a program fit to be stored and shown.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	s = strings.TrimSpace(s)
	for len(s) > maxName {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

func join(suite, name string) string {
	if suite == "" {
		return name
	}
	return suite + "/" + name
}

// junit reads the XML that JUnit began and most test runners can write.
func (c *collector) junit(b []byte) bool {
	type reason struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type testcase struct {
		Class   string  `xml:"classname,attr"`
		Name    string  `xml:"name,attr"`
		Time    string  `xml:"time,attr"`
		Failure *reason `xml:"failure"`
		Error   *reason `xml:"error"`
		Skipped *reason `xml:"skipped"`
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	found := false
	for {
		token, err := d.Token()
		if err != nil {
			return found
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "testsuites", "testsuite":
			found = true
		case "testcase":
			var tc testcase
			if !found || d.DecodeElement(&tc, &start) != nil {
				return found
			}
			t := Test{Name: join(tc.Class, tc.Name), Status: Passed, Seconds: number(tc.Time)}
			for _, r := range []*reason{tc.Failure, tc.Error} {
				if r != nil {
					t.Status, t.Detail = Failed, r.Message+"\n"+r.Text
				}
			}
			if tc.Skipped != nil && t.Status == Passed {
				t.Status = Skipped
			}
			c.add(t)
		}
	}
}

// jest reads what jest --json prints.
func (c *collector) jest(b []byte) bool {
	var out struct {
		Suites *int `json:"numTotalTestSuites"`
		Files  []struct {
			Name  string `json:"name"`
			Tests []struct {
				Full     string   `json:"fullName"`
				Title    string   `json:"title"`
				Status   string   `json:"status"`
				Duration float64  `json:"duration"` // milliseconds
				Failures []string `json:"failureMessages"`
			} `json:"assertionResults"`
		} `json:"testResults"`
	}
	if json.NewDecoder(bytes.NewReader(b)).Decode(&out) != nil || out.Suites == nil {
		return false
	}
	for _, f := range out.Files {
		file := strings.TrimPrefix(f.Name, "/workspace/")
		for _, t := range f.Tests {
			one := Test{Name: join(file, t.Full), Status: Skipped, Seconds: t.Duration / 1000}
			if t.Full == "" {
				one.Name = join(file, t.Title)
			}
			switch t.Status {
			case "passed":
				one.Status = Passed
			case "failed":
				one.Status, one.Detail = Failed, strings.Join(t.Failures, "\n")
			}
			c.add(one)
		}
	}
	return true
}

// gotest reads what go test -json prints.
func (c *collector) gotest(b []byte) bool {
	found := false
	c.lines(b, func(line []byte) {
		if len(line) == 0 || line[0] != '{' {
			return
		}
		var e struct {
			Action, Package, Test string
			Elapsed               float64
		}
		if json.Unmarshal(line, &e) != nil || e.Action == "" || e.Package == "" {
			return
		}
		found = true
		s, ends := map[string]Status{"pass": Passed, "fail": Failed, "skip": Skipped}[e.Action]
		if ends && e.Test != "" {
			c.add(Test{Name: join(e.Package, e.Test), Status: s, Seconds: e.Elapsed})
		} else if ends && s == Failed {
			c.add(Test{Name: e.Package, Status: s, Seconds: e.Elapsed})
		}
	})
	return found
}

var (
	tapPlan = regexp.MustCompile(`^\s*1\.\.\d{1,9}(\s|$)`)
	tapLine = regexp.MustCompile(`^( *)(not )?ok\b\s*(\d{0,9})\s*-?\s*(.*)$`)
	tapTime = regexp.MustCompile(`^\s+duration_ms:? ([0-9.]{1,20})`)
	tapSkip = regexp.MustCompile(`(?i)\s#\s*(skip|todo)\b`)
)

// tap reads the Test Anything Protocol, subtests (indented) included.
func (c *collector) tap(b []byte) bool {
	plan, at := false, -1
	c.lines(b, func(raw []byte) {
		line := strings.TrimRight(string(raw), "\r")
		if tapPlan.MatchString(line) || strings.HasPrefix(line, "TAP version ") {
			plan = true
		}
		if m := tapTime.FindStringSubmatch(line); m != nil && at >= 0 {
			c.Tests[at].Seconds = number(m[1]) / 1000
		}
		m := tapLine.FindStringSubmatch(line)
		if m == nil {
			return
		}
		t := Test{Name: m[4], Status: Passed}
		if cut := tapSkip.FindStringIndex(" " + m[4]); cut != nil {
			t.Name, t.Status = (" " + m[4])[:cut[0]], Skipped
		} else if m[2] != "" {
			t.Status = Failed
		}
		if strings.TrimSpace(t.Name) == "" {
			t.Name = "test " + m[3]
		}
		before := len(c.Tests)
		c.add(t)
		if at = -1; len(c.Tests) > before {
			at = before
		}
	})
	return plan && len(c.Tests) > 0
}

// lines calls f with each line. Lines that are too long end it.
func (c *collector) lines(b []byte, f func([]byte)) {
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, maxLine)
	for s.Scan() {
		f(s.Bytes())
	}
}
