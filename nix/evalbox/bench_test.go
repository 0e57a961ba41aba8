package evalbox_test

import "testing"

// BenchmarkEvaluate evaluates a small flake from begin to end: two boxes, six
// processes of Nix. BenchmarkProbe makes one box and runs nix --version in it.
func BenchmarkEvaluate(b *testing.B) {
	r := request(b, shell, map[string]string{"conf/a.txt": "a"})
	box := newBox(b, nil)
	for b.Loop() {
		if _, err := box.Evaluate(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProbe(b *testing.B) {
	box := newBox(b, nil)
	for b.Loop() {
		if err := box.Probe(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
