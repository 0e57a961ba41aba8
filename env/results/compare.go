package results

import (
	"cmp"
	"slices"
)

// Table is how tests ended on several subjects.
type Table struct {
	Subjects []string `json:"subjects"`
	Formats  []string `json:"formats"` // of each subject's report; empty for none
	// Rows are the tests that did not pass everywhere: first those that ended
	// differently, then the others.
	Rows   []Row `json:"rows"`
	Passed int   `json:"passed"` // how many passed everywhere; they have no row
	Cut    bool  `json:"cut"`    // there are more rows
}

// Row is one test.
type Row struct {
	Name      string    `json:"name"`
	Statuses  []Status  `json:"statuses"` // by subject; empty where the test is not there
	Seconds   []float64 `json:"seconds"`
	Detail    string    `json:"detail,omitempty"` // why it failed, of the first subject where it did
	Different bool      `json:"different"`
}

const maxRows = 500

// Compare sets reports side by side, test by test. Subjects without a report do not
// make tests differ. It is nil where no report has tests.
func Compare(subjects []string, reports []Report) *Table {
	t := &Table{Subjects: subjects, Rows: []Row{}}
	rows := map[string]*Row{}
	with := 0
	for i, r := range reports {
		t.Formats = append(t.Formats, r.Format)
		if r.Format != "" {
			with++
		}
		for _, test := range r.Tests {
			row := rows[test.Name]
			if row == nil {
				row = &Row{Name: test.Name, Statuses: make([]Status, len(subjects)), Seconds: make([]float64, len(subjects))}
				rows[test.Name] = row
			}
			row.Statuses[i], row.Seconds[i] = test.Status, test.Seconds
			if row.Detail == "" {
				row.Detail = test.Detail
			}
		}
	}
	if with == 0 {
		return nil
	}
	for _, row := range rows {
		passed := 0
		var first *Status
		for i, s := range row.Statuses {
			if reports[i].Format == "" {
				continue
			}
			if s == Passed {
				passed++
			}
			if first == nil {
				first = &row.Statuses[i]
			}
			row.Different = row.Different || s != *first
		}
		if passed == with {
			t.Passed++
			continue
		}
		t.Rows = append(t.Rows, *row)
	}
	slices.SortFunc(t.Rows, func(a, b Row) int {
		if a.Different != b.Different {
			if a.Different {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	if len(t.Rows) > maxRows {
		t.Rows, t.Cut = t.Rows[:maxRows], true
	}
	return t
}
