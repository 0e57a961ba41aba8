package measure

// Measure is one thing that was measured on several subjects, such as time.
type Measure struct {
	Name string `json:"name"`
	Unit string `json:"unit"` // "s", "B", "tps"; may be empty
	// HigherIsBetter says which way is an improvement.
	HigherIsBetter bool     `json:"higherIsBetter"`
	Samples        []Sample `json:"samples"`
	// Differences compare each sample but the first with the first.
	Differences []Difference `json:"differences"`
}

// Sample is what was measured on one subject.
type Sample struct {
	Subject string    `json:"subject"`
	Values  []float64 `json:"values"` // in the order in which they were measured
	Summary Summary   `json:"summary"`
	Precise bool      `json:"precise"` // the median is as sure as was wanted
}

// Of compares what was measured on subjects. Where no subject has a value it is nil.
func (p Plan) Of(name, unit string, higherIsBetter bool, subjects []string, values [][]float64) *Measure {
	m := &Measure{Name: name, Unit: unit, HigherIsBetter: higherIsBetter, Differences: []Difference{}}
	any := false
	for i, s := range subjects {
		v := values[i]
		if v == nil {
			v = []float64{}
		}
		any = any || len(v) > 0
		m.Samples = append(m.Samples, Sample{Subject: s, Values: v, Summary: Summarize(v, p.Confidence), Precise: p.Precise(v)})
	}
	if !any {
		return nil
	}
	if len(values) > 1 {
		m.Differences = p.Compare(values[0], values[1:]...)
	}
	return m
}
