// Package measure says what runs of a command showed: how long they took and how
// sure that is, whether one branch differs from another, and when there were runs
// enough. It assumes nothing about how the values are distributed: programs' run
// times are skewed, have several peaks and stray far at times, so it works with
// medians, ranks and resampling.
//
// The package is pure, and equal input gives equal output: where it draws random
// numbers, it seeds them with the sample. Its functions may be called by many
// goroutines at once.
package measure

import (
	"math"
	"math/rand/v2"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Plan is how sure a comparison wants to be.
type Plan struct {
	// Confidence is that of intervals, and one less the chance to call equal things
	// different, over all comparisons of one measure together: 0.99 by default.
	Confidence float64 `json:"confidence"`
	// Precision is the half-width of the median's interval, relative to the median,
	// at which there are runs enough: 0.02 by default.
	Precision float64 `json:"precision"`
	// MinRuns and MaxRuns bound the runs of each branch: 10 and 50 by default.
	MinRuns int `json:"minRuns"`
	MaxRuns int `json:"maxRuns"`
}

// WithDefaults returns the plan with defaults where it says nothing.
func (p Plan) WithDefaults() Plan {
	if p.Confidence == 0 {
		p.Confidence = 0.99
	}
	if p.Precision == 0 {
		p.Precision = 0.02
	}
	if p.MinRuns == 0 {
		p.MinRuns = 10
	}
	if p.MaxRuns == 0 {
		p.MaxRuns = max(50, p.MinRuns)
	}
	return p
}

// Summary describes the values of one branch.
type Summary struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	// Lo and Hi bound the median with Confidence, which is what so few values can
	// give and may be less than what was asked for; 0 where they give none.
	Lo         float64 `json:"lo"`
	Hi         float64 `json:"hi"`
	Confidence float64 `json:"confidence"`
	Min        float64 `json:"min"`
	Q1         float64 `json:"q1"`
	Q3         float64 `json:"q3"`
	Max        float64 `json:"max"`
	// Noise is the interquartile range relative to the median.
	Noise float64 `json:"noise"`
	// Outliers are values more than 1.5 interquartile ranges outside of the
	// quartiles. They count like all others: medians do not mind them.
	Outliers []float64 `json:"outliers"`
}

// finite returns the values that are numbers, in order.
func finite(values []float64) []float64 {
	out := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// Summarize describes values. Infinite ones and those that are no numbers are left
// out; of none it is the zero Summary.
func Summarize(values []float64, confidence float64) Summary {
	v := finite(values)
	if len(v) == 0 {
		return Summary{Outliers: []float64{}}
	}
	s := Summary{
		N: len(v), Median: quantile(v, 0.5), Min: v[0], Q1: quantile(v, 0.25), Q3: quantile(v, 0.75), Max: v[len(v)-1],
		Outliers: []float64{},
	}
	in := benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(v), &benchmath.DefaultThresholds), confidence)
	if !math.IsInf(in.Lo, 0) && !math.IsInf(in.Hi, 0) && in.Confidence > 0 {
		s.Lo, s.Hi, s.Confidence = in.Lo, in.Hi, in.Confidence
	} else { // too few values for what was asked: what they do give
		s.Lo, s.Hi, s.Confidence = s.Min, s.Max, 1-math.Pow(0.5, float64(len(v)-1))
	}
	if s.Median != 0 {
		s.Noise = (s.Q3 - s.Q1) / math.Abs(s.Median)
	}
	fence := 1.5 * (s.Q3 - s.Q1)
	for _, x := range v {
		if x < s.Q1-fence || x > s.Q3+fence {
			s.Outliers = append(s.Outliers, x)
		}
	}
	return s
}

// quantile interpolates between sorted values.
func quantile(v []float64, q float64) float64 {
	at := q * float64(len(v)-1)
	i := int(at)
	if i+1 >= len(v) {
		return v[len(v)-1]
	}
	f := at - float64(i)
	return v[i]*(1-f) + v[i+1]*f
}

// Enough reports whether a branch needs no more runs: the median's interval is as
// narrow as the plan wants it, or the limit is reached.
//
// It looks at each branch's own interval and never at a difference between two.
// Who measures until a difference shows will find one.
func (p Plan) Enough(values []float64) bool {
	switch n := len(finite(values)); {
	case n < p.MinRuns:
		return false
	case n >= p.MaxRuns:
		return true
	}
	return p.Precise(values)
}

// Precise reports whether the median's interval is as narrow as the plan wants it.
func (p Plan) Precise(values []float64) bool {
	s := Summarize(values, p.Confidence)
	return s.N > 1 && s.Confidence >= p.Confidence && s.Hi-s.Lo <= 2*p.Precision*math.Abs(s.Median)
}

// Verdict is what a comparison found.
type Verdict string

// The verdicts. Higher and lower are about numbers; which of them is better depends
// on what was measured.
const (
	Lower   Verdict = "lower"
	Higher  Verdict = "higher"
	None    Verdict = "none"    // no difference found, which does not say that there is none
	TooFew  Verdict = "too_few" // so few values can show nothing with that confidence
	Missing Verdict = "missing" // one side has no values
)

// Difference compares a branch with the first one.
type Difference struct {
	Verdict Verdict `json:"verdict"`
	// P is the chance to see ranks that differ so much, or more, were both the same
	// (Mann-Whitney U, two-sided); Adjusted is P corrected for the number of
	// comparisons (Holm). The verdict rests on Adjusted.
	P        float64 `json:"p"`
	Adjusted float64 `json:"adjusted"`
	// Change is how much the median differs, relative to that of the first branch;
	// Lo and Hi bound it with the plan's confidence (bootstrap).
	Change float64 `json:"change"`
	Lo     float64 `json:"lo"`
	Hi     float64 `json:"hi"`
	// Effect is Cliff's delta: the chance that a value of this branch is above one of
	// the first, less the chance that it is below: -1 to 1.
	Effect float64 `json:"effect"`
	// Detectable is about the smallest change that these runs would have shown;
	// 0 where it is not known.
	Detectable float64 `json:"detectable"`
}

// Compare compares each of others with base.
func (p Plan) Compare(base []float64, others ...[]float64) []Difference {
	alpha := 1 - p.Confidence
	b := finite(base)
	out := make([]Difference, len(others))
	var tested []int
	for i, other := range others {
		o, d := finite(other), &out[i]
		d.P, d.Adjusted = 1, 1
		if len(b) == 0 || len(o) == 0 {
			d.Verdict = Missing
			continue
		}
		d.Effect = cliff(b, o)
		d.Change = change(quantile(b, 0.5), quantile(o, 0.5))
		d.Lo, d.Hi = bootstrap(b, o, alpha)
		d.Detectable = (d.Hi - d.Lo) / 2
		if smallestP(len(b), len(o)) > alpha {
			d.Verdict = TooFew
			continue
		}
		d.P = utest(b, o)
		tested = append(tested, i)
	}
	holm(out, tested)
	for _, i := range tested {
		d := &out[i]
		d.Verdict = None
		if d.Adjusted < alpha {
			if d.Verdict = Higher; d.Effect < 0 {
				d.Verdict = Lower
			}
		}
	}
	return out
}

// utest is the p-value of the Mann-Whitney U test: exact for small samples.
func utest(a, b []float64) float64 {
	if a[0] == a[len(a)-1] && b[0] == b[len(b)-1] && a[0] == b[0] {
		return 1 // all values are equal
	}
	t := &benchmath.DefaultThresholds
	p := 0.0
	// Where values are equal the exact test depends on the order of the samples, and
	// may come to more than 1: the worse of both orders is the honest one.
	for _, pair := range [][2][]float64{{a, b}, {b, a}} {
		q := benchmath.AssumeNothing.Compare(benchmath.NewSample(slices.Clone(pair[0]), t), benchmath.NewSample(slices.Clone(pair[1]), t)).P
		if math.IsNaN(q) {
			return 1
		}
		p = max(p, min(q, 1))
	}
	return p
}

// smallestP is the least p-value that samples of these sizes can have.
func smallestP(n, m int) float64 {
	c := 1.0 // n+m over n
	for i := 1; i <= n; i++ {
		c *= float64(m+i) / float64(i)
	}
	return 2 / c
}

// holm corrects the p-values of those that were tested.
func holm(ds []Difference, tested []int) {
	order := slices.Clone(tested)
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case ds[a].P < ds[b].P:
			return -1
		case ds[a].P > ds[b].P:
			return 1
		}
		return a - b
	})
	worst := 0.0
	for rank, i := range order {
		worst = max(worst, min(1, ds[i].P*float64(len(order)-rank)))
		ds[i].Adjusted = worst
	}
}

// cliff is Cliff's delta of sorted samples.
func cliff(a, b []float64) float64 {
	sum := 0
	for _, x := range b {
		below, _ := slices.BinarySearch(a, x)
		upto, _ := slices.BinarySearchFunc(a, x, func(e, t float64) int {
			if e <= t {
				return -1
			}
			return 1
		})
		sum += below - (len(a) - upto)
	}
	return float64(sum) / float64(len(a)*len(b))
}

func change(from, to float64) float64 {
	if from == 0 {
		return 0
	}
	return (to - from) / math.Abs(from)
}

// resamples is how often a bootstrap draws.
const resamples = 1000

// bootstrap bounds the relative change of the median with confidence 1-alpha.
func bootstrap(a, b []float64, alpha float64) (lo, hi float64) {
	rng := rand.New(rand.NewPCG(seed(a), seed(b)))
	draws := make([]float64, resamples)
	ra, rb := make([]float64, len(a)), make([]float64, len(b))
	for i := range draws {
		draws[i] = change(resample(rng, a, ra), resample(rng, b, rb))
	}
	slices.Sort(draws)
	return quantile(draws, alpha/2), quantile(draws, 1-alpha/2)
}

// resample returns the median of as many values drawn from v.
func resample(rng *rand.Rand, v, buf []float64) float64 {
	for i := range buf {
		buf[i] = v[rng.IntN(len(v))]
	}
	slices.Sort(buf)
	return quantile(buf, 0.5)
}

// seed depends on the values alone.
func seed(v []float64) uint64 {
	h := uint64(14695981039346656037)
	for _, x := range v {
		h = (h ^ math.Float64bits(x)) * 1099511628211
	}
	return h
}
