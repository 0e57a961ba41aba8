package measure_test

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nixspace/nixspace/env/measure"
)

// recorded are run times of one program, measured on a machine that others used
// too: skewed, with outliers of ten times the median.
func recorded(t testing.TB) []float64 {
	t.Helper()
	b, err := os.ReadFile("testdata/noise.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []float64
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		x, err := strconv.ParseFloat(line, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	if len(out) < 100 {
		t.Fatalf("%d recorded values", len(out))
	}
	return out
}

// simulate measures branches that take factor times what was recorded, by the
// stopping rule.
func simulate(rng *rand.Rand, p measure.Plan, noise []float64, factors ...float64) []measure.Difference {
	runs := make([][]float64, len(factors))
	for {
		open := false
		for i, f := range factors {
			if !p.Enough(runs[i]) {
				open = true
				runs[i] = append(runs[i], f*noise[rng.IntN(len(noise))])
			}
		}
		if !open {
			return p.Compare(runs[0], runs[1:]...)
		}
	}
}

func TestIdenticalBranchesAreSeldomCalledDifferent(t *testing.T) {
	noise, p := recorded(t), measure.Plan{}.WithDefaults()
	wrong := 0
	for i := range 100 {
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		if d := simulate(rng, p, noise, 1, 1)[0]; d.Verdict != measure.None {
			wrong++
		}
	}
	if wrong > 5 {
		t.Errorf("%d of 100 comparisons of identical branches found a difference", wrong)
	}
}

// Of four identical branches, one comparison has three chances to be wrong.
func TestSeveralComparisonsAreCorrectedFor(t *testing.T) {
	noise, p := recorded(t), measure.Plan{}.WithDefaults()
	wrong := 0
	for i := range 100 {
		rng := rand.New(rand.NewPCG(2, uint64(i)))
		for _, d := range simulate(rng, p, noise, 1, 1, 1, 1) {
			if d.Verdict != measure.None {
				wrong++
				break
			}
		}
	}
	if wrong > 5 {
		t.Errorf("%d of 100 comparisons of identical branches found a difference", wrong)
	}
}

func TestPlantedSlowDownIsFound(t *testing.T) {
	// Where runs stray by 30 % it takes many to see 10 %.
	noise, p := recorded(t), measure.Plan{MaxRuns: 400}.WithDefaults()
	found := 0
	for i := range 100 {
		rng := rand.New(rand.NewPCG(3, uint64(i)))
		if d := simulate(rng, p, noise, 1, 1.10)[0]; d.Verdict == measure.Higher && d.Adjusted < 1-p.Confidence {
			found++
		}
	}
	if found < 95 {
		t.Errorf("a slow-down of 10 %% was found in %d of 100 comparisons", found)
	}
}

func TestSummarizeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float64Range(-1e9, 1e9), 1, 60).Draw(t, "values")
		s := measure.Summarize(v, rapid.SampledFrom([]float64{0.9, 0.95, 0.99}).Draw(t, "confidence"))
		if s.N != len(v) || s.Min > s.Q1 || s.Q1 > s.Median || s.Median > s.Q3 || s.Q3 > s.Max || s.Lo > s.Median || s.Hi < s.Median {
			t.Fatalf("%+v of %v", s, v)
		}
		again := slices.Clone(v)
		rand.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		if o := measure.Summarize(again, 0.95); o.Median != s.Median {
			t.Fatalf("the order of values changes the median: %v, %v", s.Median, o.Median)
		}
	})
}

func TestCompareProperties(t *testing.T) {
	p := measure.Plan{}.WithDefaults()
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.SliceOfN(rapid.Float64Range(1, 100), 1, 25)
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		d, back := p.Compare(a, b)[0], p.Compare(b, a)[0]
		if math.Abs(d.P-back.P) > 1e-9 || math.Abs(d.Effect+back.Effect) > 1e-9 {
			t.Fatalf("not symmetric: %+v, %+v", d, back)
		}
		if same := p.Compare(a, a)[0]; same.Verdict == measure.Higher || same.Verdict == measure.Lower {
			t.Fatalf("a sample differs from itself: %+v", same)
		}
		three := p.Compare(a, b, b, b)
		if three[0].Adjusted < d.Adjusted || three[0].Adjusted < three[0].P {
			t.Fatalf("more comparisons made it surer: %+v, %+v", d, three[0])
		}
	})
}

func TestSmallSamplesAreNotOverrated(t *testing.T) {
	p := measure.Plan{}.WithDefaults()
	if d := p.Compare([]float64{1, 2, 3}, []float64{7, 8, 9})[0]; d.Verdict != measure.TooFew {
		t.Errorf("3 against 3 values: %+v", d)
	}
	if d := p.Compare(nil, []float64{1})[0]; d.Verdict != measure.Missing {
		t.Errorf("nothing against something: %+v", d)
	}
	if d := p.Compare([]float64{4, 4, 4, 4, 4, 4}, []float64{4, 4, 4, 4, 4, 4})[0]; d.Verdict != measure.None {
		t.Errorf("constants: %+v", d)
	}
	d := p.Compare([]float64{1, 2, 3, 4, 5, 6, math.NaN()}, []float64{11, 12, 13, 14, 15, 16})[0]
	if d.Verdict != measure.Higher || d.Effect != 1 || d.Lo <= 0 {
		t.Errorf("plain difference: %+v", d)
	}
}
